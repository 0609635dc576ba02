"""RMSNorm with modulation in Triton: ``out = n * weight * (1 + scale) + shift``, ``n = x * rsqrt(mean(x^2) + eps)``.

With ``g = dout * weight * (1 + scale)``, ``dx = rstd * (g - n * mean(g * n))``; over a segment dshift sums dout and
dscale ``dout * n * weight``, and over all tokens dweight ``dout * n * (1 + scale)``.

Traffic in half precision: forward 4 bytes per value (x in, out out) and 6 FLOPs; backward 6 bytes (dout and x in, dx
out) and 14 FLOPs; statistics are computed again from x, which costs no traffic. Design: a program walks a tile of rows
of one segment (see `flagdit_kernels.triton_rows`), with the factor of its segment in registers; backward has one tile
for each program that a GPU holds at once, so that few sums remain to be added.
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
    load_rows,
    load_values,
    rms_norm,
    rms_norm_backward,
    rows_from,
    rows_of_tile,
    store_rows,
    store_sum,
    sum_tiles,
)


@triton.jit(do_not_specialize=TILE_SIZES)
def _forward_kernel(
    X,
    WEIGHT,
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
    factor *= load_values(WEIGHT, 0, 0, column, inside)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = load_rows(X, row, x_stride, column, mask)
        store_rows(OUT, row, D, column, mask, rms_norm(x, D, eps) * factor + shift)


@triton.jit(do_not_specialize=TILE_SIZES)
def _backward_kernel(
    DOUT,
    X,
    WEIGHT,
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
    factor *= load_values(WEIGHT, 0, 0, column, inside)
    dshift = tl.zeros([BLOCK_D], dtype=tl.float32)
    dfactor = tl.zeros([BLOCK_D], dtype=tl.float32)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = load_rows(X, row, x_stride, column, mask)
        dout = load_rows(DOUT, row, dout_stride, column, mask)
        dx, normed = rms_norm_backward(dout * factor, x, D, eps)
        store_rows(DX, row, D, column, mask, dx)
        dshift += tl.sum(dout, 0)
        dfactor += tl.sum(dout * normed, 0)
    dscale = dfactor * load_values(WEIGHT, 0, 0, column, inside)
    dweight = dfactor * (1.0 + load_values(SCALE, segment, scale_stride, column, inside))
    store_sum(PARTIAL, tile, 0, dshift, 3, D, column, inside)
    store_sum(PARTIAL, tile, 1, dscale, 3, D, column, inside)
    store_sum(PARTIAL, tile, 2, dweight, 3, D, column, inside)


def forward(
    x: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
    config: Config | None = None,
) -> Tensor:
    """``RMS(x) * weight * (1 + scale) + shift``, computed in float32 and rounded once."""
    x, shift, scale, weight = *(as_rows(tensor) for tensor in (x, shift, scale)), weight.contiguous()
    width, out = x.shape[1], x.new_empty(x.shape)
    config = config or find_config("rms_norm_modulate.forward", width, x.dtype, x.device)
    tiles = cut(x, cu_seqlens, max_seqlen, config["PROGRAMS"])
    if tiles.count:
        with torch.cuda.device_of(x):
            _forward_kernel[(tiles.count,)](
                x,
                weight,
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
    weight: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
    config: Config | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, weight, shift and scale."""
    dout, x, scale, weight = *(as_rows(tensor) for tensor in (dout, x, scale)), weight.contiguous()
    width = x.shape[1]
    dx, dweight, dshift, dscale = (tensor.new_empty(tensor.shape) for tensor in (x, weight, scale, scale))
    config = config or find_config("rms_norm_modulate.backward", width, x.dtype, x.device)
    tiles = cut(x, cu_seqlens, max_seqlen, config["PROGRAMS"], min_rows=MIN_SUMMED_ROWS)
    partial = x.new_empty(tiles.count, 3, width, dtype=torch.float32)
    if tiles.count:
        with torch.cuda.device_of(x):
            _backward_kernel[(tiles.count,)](
                dout,
                x,
                weight,
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
    sum_tiles(partial, cu_seqlens, tiles, (dshift, dscale), dweight)
    return dx, dweight, dshift, dscale
