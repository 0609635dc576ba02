"""KQ-norm and rotary embedding in Triton: q and k are each read once from the fused projection and written once.

A program owns whole rows of q or of k, all heads of them, since the norm runs over the full width; pairs are taken
apart and put together in registers. Backward computes the statistics again from the projection's output; the sums for
the gradients of weight and bias go to one buffer row per program, added up in a fixed order: deterministic, without
atomics.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

NO_NORM, RMS_NORM, LAYER_NORM = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
# Programs of backward: enough to fill a large GPU, few enough that the buffer of partial sums stays small.
MIN_BACKWARD_ROWS = 16
MAX_BACKWARD_TILES = 512


@triton.jit
def _normalise(x, column, D: tl.constexpr, eps, NORM: tl.constexpr):
    """The normalised row before weight and bias, and the reciprocal deviation."""
    if NORM == LAYER_NORM:
        x = tl.where(column < D, x - tl.sum(x, 0) / D, 0.0)
    rstd = tl.rsqrt(tl.sum(x * x, 0) / D + eps)
    return x * rstd, rstd


@triton.jit
def _rotate(x, cos, sin, BLOCK_D: tl.constexpr):
    """Each adjacent pair of channels turned by its angle."""
    even, odd = tl.split(tl.reshape(x, [BLOCK_D // 2, 2]))
    return tl.reshape(tl.join(even * cos - odd * sin, even * sin + odd * cos), [BLOCK_D])


@triton.jit
def _forward_kernel(
    X,
    WEIGHT,
    BIAS,
    COS,
    SIN,
    OUT,
    x_stride,
    angle_stride,
    eps,
    D: tl.constexpr,
    P: tl.constexpr,
    BLOCK_D: tl.constexpr,
    NORM: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column, pair = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_D // 2)
    mask = column < D
    y = tl.load(X + row * x_stride + column, mask=mask, other=0.0).to(tl.float32)
    if NORM != NO_NORM:
        y, _ = _normalise(y, column, D, eps, NORM)
        y *= tl.load(WEIGHT + column, mask=mask, other=0.0).to(tl.float32)
        if NORM == LAYER_NORM:
            y += tl.load(BIAS + column, mask=mask, other=0.0).to(tl.float32)
    angle = row * angle_stride + pair % P
    cos = tl.load(COS + angle, mask=pair < D // 2, other=0.0)
    sin = tl.load(SIN + angle, mask=pair < D // 2, other=0.0)
    tl.store(OUT + row * D + column, _rotate(y, cos, sin, BLOCK_D).to(OUT.dtype.element_ty), mask=mask)


@triton.jit
def _backward_kernel(
    DOUT,
    X,
    WEIGHT,
    COS,
    SIN,
    DX,
    PARTIAL,
    x_stride,
    dx_stride,
    angle_stride,
    num_rows,
    rows_per_tile,
    eps,
    D: tl.constexpr,
    P: tl.constexpr,
    BLOCK_D: tl.constexpr,
    NORM: tl.constexpr,
):
    tile = tl.program_id(0)
    column, pair = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_D // 2)
    mask = column < D
    dweight = tl.zeros([BLOCK_D], dtype=tl.float32)
    dbias = tl.zeros([BLOCK_D], dtype=tl.float32)
    start = tile * rows_per_tile
    for index in range(start, tl.minimum(start + rows_per_tile, num_rows)):
        row = tl.cast(index, tl.int64)
        angle = row * angle_stride + pair % P
        cos = tl.load(COS + angle, mask=pair < D // 2, other=0.0)
        sin = tl.load(SIN + angle, mask=pair < D // 2, other=0.0)
        dout = tl.load(DOUT + row * D + column, mask=mask, other=0.0).to(tl.float32)
        dx = _rotate(dout, cos, -sin, BLOCK_D)
        if NORM != NO_NORM:
            x = tl.load(X + row * x_stride + column, mask=mask, other=0.0).to(tl.float32)
            normed, rstd = _normalise(x, column, D, eps, NORM)
            dweight += dx * normed
            dbias += dx
            dx *= tl.load(WEIGHT + column, mask=mask, other=0.0).to(tl.float32)
            dx -= normed * (tl.sum(dx * normed, 0) / D)
            if NORM == LAYER_NORM:
                dx -= tl.sum(dx, 0) / D
            dx *= rstd
        tl.store(DX + row * dx_stride + column, dx.to(DX.dtype.element_ty), mask=mask)
    if NORM != NO_NORM:
        partial = PARTIAL + tile.to(tl.int64) * (2 * D) + column
        tl.store(partial, dweight, mask=mask)
        tl.store(partial + D, dbias, mask=mask)


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
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys normalised and rotated, computed in float32 and rounded once; values copied."""
    qkv = qkv if qkv.stride(-1) == 1 else qkv.contiguous()
    cos, sin, head_dim = cos.contiguous(), sin.contiguous(), 2 * cos.shape[1]
    q, k, v = torch.split(qkv, [heads * head_dim for heads in (num_heads, num_kv_heads, num_kv_heads)], dim=1)
    outputs = []
    for x, weight, bias in ((q, q_weight, q_bias), (k, k_weight, k_bias)):
        out = x.new_empty(x.shape)
        if out.numel():
            with torch.cuda.device_of(x):
                _forward_kernel[(x.shape[0],)](
                    x,
                    None if weight is None else weight.contiguous(),
                    None if bias is None else bias.contiguous(),
                    cos,
                    sin,
                    out,
                    x.stride(0),
                    cos.shape[1],
                    eps,
                    **_constants(x.shape[1], cos.shape[1], weight, bias),
                )
        outputs.append(out.view(x.shape[0], x.shape[1] // head_dim, head_dim))
    values = v.reshape(v.shape[0], num_kv_heads, head_dim).clone(memory_format=torch.contiguous_format)
    return outputs[0], outputs[1], values


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
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of qkv and of the four norm parameters (None for those that are)."""
    qkv = qkv if qkv.stride(-1) == 1 else qkv.contiguous()
    cos, sin, dqkv = cos.contiguous(), sin.contiguous(), qkv.new_empty(qkv.shape)
    widths = [d.shape[1] * d.shape[2] for d in (dq, dk, dv)]
    (q, k, _), (dq_out, dk_out, dv_out) = (torch.split(x, widths, dim=1) for x in (qkv, dqkv))
    dv_out.copy_(dv.flatten(1))
    dq_parameters = _backward_of_one(dq, q, q_weight, q_bias, cos, sin, eps, dq_out)
    dk_parameters = _backward_of_one(dk, k, k_weight, k_bias, cos, sin, eps, dk_out)
    return dqkv, *dq_parameters, *dk_parameters


def _backward_of_one(
    dout: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    eps: float,
    dx: Tensor,
) -> tuple[Tensor | None, Tensor | None]:
    """Write the gradient of q or k into ``dx``; return those of its weight and bias."""
    num_rows, width = x.shape
    rows_per_tile = max(MIN_BACKWARD_ROWS, 16 * triton.cdiv(num_rows, 16 * MAX_BACKWARD_TILES))
    num_tiles = triton.cdiv(num_rows, rows_per_tile)
    partial = x.new_empty(0 if weight is None else num_tiles, 2, width, dtype=torch.float32)
    if num_rows:
        with torch.cuda.device_of(x):
            _backward_kernel[(num_tiles,)](
                dout.contiguous(),
                x,
                None if weight is None else weight.contiguous(),
                cos,
                sin,
                dx,
                partial,
                x.stride(0),
                dx.stride(0),
                cos.shape[1],
                num_rows,
                rows_per_tile,
                eps,
                **_constants(width, cos.shape[1], weight, bias),
            )
    dweight, dbias = partial.sum(0)
    return (
        None if weight is None else dweight.to(weight.dtype),
        None if bias is None else dbias.to(bias.dtype),
    )


def _constants(width: int, num_pairs: int, weight: Tensor | None, bias: Tensor | None) -> dict[str, int]:
    """Which norm, the block that holds a row, and its warps."""
    norm = NO_NORM if weight is None else RMS_NORM if bias is None else LAYER_NORM
    block = triton.next_power_of_2(width)
    return {
        "D": width,
        "P": num_pairs,
        "BLOCK_D": block,
        "NORM": norm.value,
        "num_warps": min(max(block // 512, 1), 16),
    }
