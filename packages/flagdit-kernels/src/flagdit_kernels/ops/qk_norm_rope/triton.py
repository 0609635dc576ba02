"""KQ-norm and rotary embedding in Triton: ``out = rotate(norm(x) * weight + bias)``, for q and for k.

The norm runs over the width of all heads; each pair ``(a, b)`` becomes ``(a cos - b sin, a sin + b cos)``. Backward
turns the gradient back, ``d = rotate(dout)`` by the opposite angle: dweight sums ``d * n`` and dbias d over all tokens,
n the normalised x, and dx is the gradient of the norm for ``d * weight``.

Traffic in half precision, per value: forward 4 bytes for q and k, 4 for v where gradients are needed and else none, as
v is then a view; backward 6 bytes for q and k, 4 for v; 14 and 22 FLOPs. Design: one launch for all of it, each program
walking a tile of rows of q, k or v (see `flagdit_kernels.triton_rows`), so that backward writes the three gradients
side by side; heads are padded to a power of two rather than rows, so that a token's angles are read once for all heads.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.configs import Config, find_config
from flagdit_kernels.triton_rows import (
    MIN_SUMMED_ROWS,
    as_rows,
    cut,
    launch_constants,
    layer_norm,
    layer_norm_backward,
    load_rows,
    load_values,
    rms_norm,
    rms_norm_backward,
    rows_from,
    store_rows,
    store_sum,
    sum_tiles,
)


@triton.jit
def _part_and_tile(num_tiles):
    """What a program does, q (0), k (1) or v (2), and its tile: q beside k, as they share angles, and v last."""
    program = tl.program_id(0)
    is_v = program >= 2 * num_tiles
    return tl.where(is_v, 2, program % 2), tl.where(is_v, program - 2 * num_tiles, program // 2)


@triton.jit
def _columns(HEADS: tl.constexpr, P: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_P: tl.constexpr):
    """Columns of heads that are padded to a power of two, one after the other, and which of them exist."""
    index = tl.arange(0, BLOCK_N * 2 * BLOCK_P)
    head, channel = index // (2 * BLOCK_P), index % (2 * BLOCK_P)
    return head * (2 * P) + channel, (head < HEADS) & (channel < 2 * P)


@triton.jit
def _load_angles(ANGLES, row, stop, P: tl.constexpr, BLOCK_P: tl.constexpr):
    """Cosines or sines of a block of rows, [ROWS, 1, BLOCK_P], the same for all heads."""
    pair = tl.arange(0, BLOCK_P)[None, :]
    return tl.load(ANGLES + row * P + pair, mask=(pair < P) & (row < stop), other=0.0)[:, None, :]


@triton.jit
def _rotate(x, cos, sin, ROWS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_P: tl.constexpr):
    """Each adjacent pair of channels of each head turned by its angle."""
    even, odd = tl.split(tl.reshape(x, [ROWS, BLOCK_N, BLOCK_P, 2]))
    return tl.reshape(tl.join(even * cos - odd * sin, even * sin + odd * cos), [ROWS, BLOCK_N * 2 * BLOCK_P])


@triton.jit
def _copy_rows(
    X,
    OUT,
    x_stride,
    out_stride,
    start,
    stop,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    """Copy a tile of rows."""
    column = tl.arange(0, BLOCK_D)
    inside = column < D
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = tl.load(X + row * x_stride + column[None, :], mask=mask)
        tl.store(OUT + row * out_stride + column[None, :], x, mask=mask)


@triton.jit
def _norm_rotate_rows(
    X,
    WEIGHT,
    BIAS,
    COS,
    SIN,
    OUT,
    x_stride,
    start,
    stop,
    eps,
    HEADS: tl.constexpr,
    P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_P: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    """Normalise and turn a tile of rows of q or k."""
    D: tl.constexpr = HEADS * 2 * P
    column, inside = _columns(HEADS, P, BLOCK_N, BLOCK_P)
    if WEIGHT is not None:
        weight = load_values(WEIGHT, 0, 0, column, inside)
    if BIAS is not None:
        bias = load_values(BIAS, 0, 0, column, inside)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        y = load_rows(X, row, x_stride, column, mask)
        if BIAS is not None:
            y = layer_norm(y, inside, D, eps) * weight + bias
        elif WEIGHT is not None:
            y = rms_norm(y, D, eps) * weight
        cos = _load_angles(COS, row, stop, P, BLOCK_P)
        sin = _load_angles(SIN, row, stop, P, BLOCK_P)
        store_rows(OUT, row, D, column, mask, _rotate(y, cos, sin, ROWS, BLOCK_N, BLOCK_P))


@triton.jit
def _norm_rotate_rows_backward(
    DOUT,
    X,
    WEIGHT,
    BIAS,
    COS,
    SIN,
    DX,
    PARTIAL,
    dout_stride,
    x_stride,
    dx_stride,
    tile,
    start,
    stop,
    eps,
    HEADS: tl.constexpr,
    P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_P: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    """The gradient of a tile of rows of q or k, and the tile's sums for those of weight and bias."""
    D: tl.constexpr = HEADS * 2 * P
    column, inside = _columns(HEADS, P, BLOCK_N, BLOCK_P)
    dweight = tl.zeros([BLOCK_N * 2 * BLOCK_P], dtype=tl.float32)
    dbias = tl.zeros([BLOCK_N * 2 * BLOCK_P], dtype=tl.float32)
    if WEIGHT is not None:
        weight = load_values(WEIGHT, 0, 0, column, inside)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        cos = _load_angles(COS, row, stop, P, BLOCK_P)
        sin = _load_angles(SIN, row, stop, P, BLOCK_P)
        dout = load_rows(DOUT, row, dout_stride, column, mask)
        dx = _rotate(dout, cos, -sin, ROWS, BLOCK_N, BLOCK_P)
        if WEIGHT is not None:
            x = load_rows(X, row, x_stride, column, mask)
            dy = dx
            if BIAS is not None:
                dx, normed = layer_norm_backward(dy * weight, x, inside, D, eps)
                dbias += tl.sum(dy, 0)
            else:
                dx, normed = rms_norm_backward(dy * weight, x, D, eps)
            dweight += tl.sum(dy * normed, 0)
        store_rows(DX, row, dx_stride, column, mask, dx)
    if BIAS is not None:
        store_sum(PARTIAL, tile, 0, dweight, 2, D, column, inside)
        store_sum(PARTIAL, tile, 1, dbias, 2, D, column, inside)
    elif WEIGHT is not None:
        store_sum(PARTIAL, tile, 0, dweight, 1, D, column, inside)


@triton.jit(do_not_specialize=["num_rows", "num_tiles", "rows_per_tile"])
def _forward_kernel(
    QKV,
    Q_WEIGHT,
    Q_BIAS,
    K_WEIGHT,
    K_BIAS,
    COS,
    SIN,
    Q,
    K,
    V,
    qkv_stride,
    eps,
    num_rows,
    num_tiles,
    rows_per_tile,
    N: tl.constexpr,
    G: tl.constexpr,
    P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_P: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    part, tile = _part_and_tile(num_tiles)
    start = tile * rows_per_tile
    stop = tl.minimum(start + rows_per_tile, num_rows)
    k_column: tl.constexpr = N * 2 * P
    kv_width: tl.constexpr = G * 2 * P
    kv_block: tl.constexpr = BLOCK_G * 2 * BLOCK_P
    if part == 0:
        _norm_rotate_rows(
            QKV, Q_WEIGHT, Q_BIAS, COS, SIN, Q, qkv_stride, start, stop, eps, N, P, BLOCK_N, BLOCK_P, ROWS, NUM_STAGES
        )
    elif part == 1:
        k = QKV + k_column
        _norm_rotate_rows(
            k, K_WEIGHT, K_BIAS, COS, SIN, K, qkv_stride, start, stop, eps, G, P, BLOCK_G, BLOCK_P, ROWS, NUM_STAGES
        )
    elif V is not None:
        v = QKV + k_column + kv_width
        _copy_rows(v, V, qkv_stride, kv_width, start, stop, kv_width, kv_block, ROWS, NUM_STAGES)


@triton.jit(do_not_specialize=["num_rows", "num_tiles", "rows_per_tile"])
def _backward_kernel(
    DQ,
    DK,
    DV,
    QKV,
    Q_WEIGHT,
    Q_BIAS,
    K_WEIGHT,
    K_BIAS,
    COS,
    SIN,
    DQKV,
    Q_PARTIAL,
    K_PARTIAL,
    dq_stride,
    dk_stride,
    dv_stride,
    qkv_stride,
    eps,
    num_rows,
    num_tiles,
    rows_per_tile,
    N: tl.constexpr,
    G: tl.constexpr,
    P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_P: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    part, tile = _part_and_tile(num_tiles)
    start = tile * rows_per_tile
    stop = tl.minimum(start + rows_per_tile, num_rows)
    k_column: tl.constexpr = N * 2 * P
    kv_width: tl.constexpr = G * 2 * P
    kv_block: tl.constexpr = BLOCK_G * 2 * BLOCK_P
    dqkv_stride: tl.constexpr = k_column + 2 * kv_width
    if part == 0:
        _norm_rotate_rows_backward(
            DQ, QKV, Q_WEIGHT, Q_BIAS, COS, SIN, DQKV, Q_PARTIAL, dq_stride, qkv_stride, dqkv_stride,
            tile, start, stop, eps, N, P, BLOCK_N, BLOCK_P, ROWS, NUM_STAGES,
        )  # fmt: skip
    elif part == 1:
        k, dk = QKV + k_column, DQKV + k_column
        _norm_rotate_rows_backward(
            DK, k, K_WEIGHT, K_BIAS, COS, SIN, dk, K_PARTIAL, dk_stride, qkv_stride, dqkv_stride,
            tile, start, stop, eps, G, P, BLOCK_G, BLOCK_P, ROWS, NUM_STAGES,
        )  # fmt: skip
    else:
        dv = DQKV + k_column + kv_width
        _copy_rows(DV, dv, dv_stride, dqkv_stride, start, stop, kv_width, kv_block, ROWS, NUM_STAGES)


def forward(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
    *,
    out_v: Tensor | None = None,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Queries and keys normalised and rotated, computed in float32 and rounded once; values copied to ``out_v``."""
    qkv, parameters = as_rows(qkv), _contiguous(q_weight, q_bias, k_weight, k_bias)
    num_rows, head_dim = qkv.shape[0], 2 * cos.shape[1]
    q = qkv.new_empty(num_rows, num_heads, head_dim)
    k = qkv.new_empty(num_rows, num_kv_heads, head_dim)
    config = config or find_config("qk_norm_rope.forward", num_heads * head_dim, qkv.dtype, qkv.device)
    tiles = cut(qkv, None, num_rows, triton.cdiv(config["PROGRAMS"], 2))
    if num_rows:
        with torch.cuda.device_of(qkv):
            _forward_kernel[((2 if out_v is None else 3) * tiles.count,)](
                qkv,
                *parameters,
                cos.contiguous(),
                sin.contiguous(),
                q,
                k,
                out_v,
                qkv.stride(0),
                eps,
                num_rows,
                tiles.count,
                tiles.rows_per_tile,
                **launch_constants(config, N=num_heads, G=num_kv_heads, P=cos.shape[1]),
            )
    return q, k


def backward(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    eps: float,
    *,
    config: Config | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of qkv and of the four norm parameters (None for those that are)."""
    num_rows, num_heads, head_dim = dq.shape
    num_kv_heads, dqkv = dk.shape[1], qkv.new_empty(qkv.shape)
    qkv, parameters = as_rows(qkv), _contiguous(q_weight, q_bias, k_weight, k_bias)
    dq, dk, dv = (as_rows(gradient.flatten(1)) for gradient in (dq, dk, dv))
    config = config or find_config("qk_norm_rope.backward", num_heads * head_dim, qkv.dtype, qkv.device)
    tiles = cut(qkv, None, num_rows, triton.cdiv(config["PROGRAMS"], 2), min_rows=MIN_SUMMED_ROWS)
    partials = [
        qkv.new_empty(tiles.count, (weight is not None) + (bias is not None), heads * head_dim, dtype=torch.float32)
        for heads, weight, bias in ((num_heads, q_weight, q_bias), (num_kv_heads, k_weight, k_bias))
    ]
    if num_rows:
        with torch.cuda.device_of(qkv):
            _backward_kernel[(3 * tiles.count,)](
                dq,
                dk,
                dv,
                qkv,
                *parameters,
                cos.contiguous(),
                sin.contiguous(),
                dqkv,
                *partials,
                dq.stride(0),
                dk.stride(0),
                dv.stride(0),
                qkv.stride(0),
                eps,
                num_rows,
                tiles.count,
                tiles.rows_per_tile,
                **launch_constants(config, N=num_heads, G=num_kv_heads, P=cos.shape[1]),
            )
    gradients = [None if parameter is None else parameter.new_empty(parameter.shape) for parameter in parameters]
    for partial, outputs in zip(partials, (gradients[:2], gradients[2:]), strict=True):
        sum_tiles(partial, None, tiles, tuple(output for output in outputs if output is not None))
    return dqkv, gradients[0], gradients[1], gradients[2], gradients[3]


def _contiguous(*parameters: Tensor | None) -> list[Tensor | None]:
    return [None if parameter is None else parameter.contiguous() for parameter in parameters]
