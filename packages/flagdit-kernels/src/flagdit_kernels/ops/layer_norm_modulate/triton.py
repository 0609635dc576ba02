"""LayerNorm with modulation in Triton: ``out = n * (1 + scale) + shift``, ``n = (x - mean(x)) * rsqrt(var(x) + eps)``.

With ``g = dout * (1 + scale)``, ``dx = rstd * (g - mean(g) - n * mean(g * n))``; over a segment dshift sums dout, and
dscale ``dout * n``.

Traffic in half precision: forward 4 bytes per value (x in, out out) and 8 FLOPs; backward 6 bytes (dout and x in, dx
out) and 15 FLOPs. Design: that of `rms_norm_modulate`; mean and variance are taken one after the other, as the
difference of two large sums would lose the variance of a row far from zero.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.configs import Config, find_config
from flagdit_kernels.triton_rows import (
    MIN_SUMMED_ROWS,
    TILE_SIZES,
    as_rows,
    cut,
    launch_constants,
    layer_norm,
    layer_norm_backward,
    load_rows,
    load_values,
    rows_from,
    rows_of_tile,
    store_rows,
    store_sum,
    sum_tiles,
)


@triton.jit(do_not_specialize=TILE_SIZES)
def _forward_kernel(
    X,
    SHIFT,
    SCALE,
    CU_SEQLENS,
    OUT,
    x_stride,
    shift_stride,
    scale_stride,
    eps,
    num_segments,
    num_steps,
    segment_length,
    rows_per_tile,
    EQUAL: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    tile = tl.program_id(0)
    segment, start, stop = rows_of_tile(CU_SEQLENS, tile, num_segments, num_steps, segment_length, rows_per_tile, EQUAL)
    column = tl.arange(0, BLOCK_D)
    inside = column < D
    shift = load_values(SHIFT, segment, shift_stride, column, inside)
    factor = 1.0 + load_values(SCALE, segment, scale_stride, column, inside)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = load_rows(X, row, x_stride, column, mask)
        store_rows(OUT, row, D, column, mask, layer_norm(x, inside, D, eps) * factor + shift)


@triton.jit(do_not_specialize=TILE_SIZES)
def _backward_kernel(
    DOUT,
    X,
    SCALE,
    CU_SEQLENS,
    DX,
    PARTIAL,
    dout_stride,
    x_stride,
    scale_stride,
    eps,
    num_segments,
    num_steps,
    segment_length,
    rows_per_tile,
    EQUAL: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    ROWS: tl.constexpr,
    NUM_STAGES: tl.constexpr,
):
    tile = tl.program_id(0)
    segment, start, stop = rows_of_tile(CU_SEQLENS, tile, num_segments, num_steps, segment_length, rows_per_tile, EQUAL)
    column = tl.arange(0, BLOCK_D)
    inside = column < D
    factor = 1.0 + load_values(SCALE, segment, scale_stride, column, inside)
    dshift = tl.zeros([BLOCK_D], dtype=tl.float32)
    dscale = tl.zeros([BLOCK_D], dtype=tl.float32)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = load_rows(X, row, x_stride, column, mask)
        dout = load_rows(DOUT, row, dout_stride, column, mask)
        dx, normed = layer_norm_backward(dout * factor, x, inside, D, eps)
        store_rows(DX, row, D, column, mask, dx)
        dshift += tl.sum(dout, 0)
        dscale += tl.sum(dout * normed, 0)
    store_sum(PARTIAL, tile, 0, dshift, 2, D, column, inside)
    store_sum(PARTIAL, tile, 1, dscale, 2, D, column, inside)


def forward(
    x: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
    config: Config | None = None,
) -> Tensor:
    """``LN(x) * (1 + scale) + shift``, computed in float32 and rounded once."""
    x, shift, scale = (as_rows(tensor) for tensor in (x, shift, scale))
    width, out = x.shape[1], x.new_empty(x.shape)
    config = config or find_config("layer_norm_modulate.forward", width, x.dtype, x.device)
    tiles = cut(x, cu_seqlens, max_seqlen, config["PROGRAMS"])
    if tiles.count:
        with torch.cuda.device_of(x):
            _forward_kernel[(tiles.count,)](
                x,
                shift,
                scale,
                cu_seqlens.contiguous(),
                out,
                x.stride(0),
                shift.stride(0),
                scale.stride(0),
                eps,
                **tiles.arguments,
                **launch_constants(config, D=width),
            )
    return out


def backward(
    dout: Tensor,
    x: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
    config: Config | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, shift and scale."""
    dout, x, scale = (as_rows(tensor) for tensor in (dout, x, scale))
    width = x.shape[1]
    dx, dshift, dscale = (tensor.new_empty(tensor.shape) for tensor in (x, scale, scale))
    config = config or find_config("layer_norm_modulate.backward", width, x.dtype, x.device)
    tiles = cut(x, cu_seqlens, max_seqlen, config["PROGRAMS"], min_rows=MIN_SUMMED_ROWS)
    partial = x.new_empty(tiles.count, 2, width, dtype=torch.float32)
    if tiles.count:
        with torch.cuda.device_of(x):
            _backward_kernel[(tiles.count,)](
                dout,
                x,
                scale,
                cu_seqlens.contiguous(),
                dx,
                partial,
                dout.stride(0),
                x.stride(0),
                scale.stride(0),
                eps,
                **tiles.arguments,
                **launch_constants(config, D=width),
            )
    sum_tiles(partial, cu_seqlens, tiles, (dshift, dscale))
    return dx, dshift, dscale
