"""Gated residual, RMSNorm and modulation in Triton: ``r = x + gate * y``, ``h = n * weight * (1 + scale) + shift``.

Here ``n = r * rstd``, ``rstd = rsqrt(mean(r^2) + eps)``. With ``g = dh * weight * (1 + scale)``,
``dx = dr + rstd * (g - n * mean(g * n))`` and ``dy = gate * dx``; over a segment dgate sums ``dx * y``, dshift dh,
dscale ``dh * n * weight``, and over all tokens dweight ``dh * n * (1 + scale)``.

Traffic in half precision: forward 8 bytes per value (x and y in, r and h out; the two operators one after the other
move 10) and 8 FLOPs; backward 12 bytes (dr, dh, r and y in, dx and dy out; one after the other 18) and 19 FLOPs.
Design: backward saves r and y, both of which exist anyway, and computes the statistics again; the norm is that of r as
it was rounded, in both directions.
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
    Y,
    GATE,
    WEIGHT,
    SHIFT,
    SCALE,
    CU_SEQLENS,
    RESIDUAL,
    NORMED,
    x_stride,
    y_stride,
    gate_stride,
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
    gate = load_values(GATE, segment, gate_stride, column, inside)
    shift = load_values(SHIFT, segment, shift_stride, column, inside)
    factor = 1.0 + load_values(SCALE, segment, scale_stride, column, inside)
    factor *= load_values(WEIGHT, 0, 0, column, inside)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = load_rows(X, row, x_stride, column, mask)
        y = load_rows(Y, row, y_stride, column, mask)
        residual = (x + gate * y).to(RESIDUAL.dtype.element_ty).to(tl.float32)
        store_rows(RESIDUAL, row, D, column, mask, residual)
        store_rows(NORMED, row, D, column, mask, rms_norm(residual, D, eps) * factor + shift)


@triton.jit(do_not_specialize=TILE_SIZES)
def _backward_kernel(
    DRESIDUAL,
    DNORMED,
    RESIDUAL,
    Y,
    GATE,
    WEIGHT,
    SCALE,
    CU_SEQLENS,
    DX,
    DY,
    PARTIAL,
    dresidual_stride,
    dnormed_stride,
    residual_stride,
    y_stride,
    gate_stride,
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
    gate = load_values(GATE, segment, gate_stride, column, inside)
    factor = 1.0 + load_values(SCALE, segment, scale_stride, column, inside)
    factor *= load_values(WEIGHT, 0, 0, column, inside)
    dgate = tl.zeros([BLOCK_D], dtype=tl.float32)
    dshift = tl.zeros([BLOCK_D], dtype=tl.float32)
    dfactor = tl.zeros([BLOCK_D], dtype=tl.float32)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        residual = load_rows(RESIDUAL, row, residual_stride, column, mask)
        dnormed = load_rows(DNORMED, row, dnormed_stride, column, mask)
        dx, normed = rms_norm_backward(dnormed * factor, residual, D, eps)
        dx += load_rows(DRESIDUAL, row, dresidual_stride, column, mask)
        y = load_rows(Y, row, y_stride, column, mask)
        store_rows(DX, row, D, column, mask, dx)
        store_rows(DY, row, D, column, mask, gate * dx)
        dgate += tl.sum(dx * y, 0)
        dshift += tl.sum(dnormed, 0)
        dfactor += tl.sum(dnormed * normed, 0)
    dscale = dfactor * load_values(WEIGHT, 0, 0, column, inside)
    dweight = dfactor * (1.0 + load_values(SCALE, segment, scale_stride, column, inside))
    store_sum(PARTIAL, tile, 0, dgate, 4, D, column, inside)
    store_sum(PARTIAL, tile, 1, dshift, 4, D, column, inside)
    store_sum(PARTIAL, tile, 2, dscale, 4, D, column, inside)
    store_sum(PARTIAL, tile, 3, dweight, 4, D, column, inside)


def forward(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """``r = x + gate * y`` and ``RMS(r) * weight * (1 + scale) + shift``, each rounded once."""
    x, y, gate, shift, scale = (as_rows(tensor) for tensor in (x, y, gate, shift, scale))
    width, residual, normed = x.shape[1], x.new_empty(x.shape), x.new_empty(x.shape)
    config = config or find_config("gated_residual_rms_norm_modulate.forward", width, x.dtype, x.device)
    tiles = cut(x, cu_seqlens, max_seqlen, config["PROGRAMS"])
    if tiles.count:
        with torch.cuda.device_of(x):
            _forward_kernel[(tiles.count,)](
                x,
                y,
                gate,
                weight.contiguous(),
                shift,
                scale,
                cu_seqlens.contiguous(),
                residual,
                normed,
                x.stride(0),
                y.stride(0),
                gate.stride(0),
                shift.stride(0),
                scale.stride(0),
                eps,
                **tiles.arguments,
                **launch_constants(config, D=width),
            )
    return residual, normed


def backward(
    dresidual: Tensor,
    dnormed: Tensor,
    residual: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
    config: Config | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, y, gate, weight, shift and scale."""
    inputs = (dresidual, dnormed, residual, y, gate, scale)
    dresidual, dnormed, residual, y, gate, scale = (as_rows(tensor) for tensor in inputs)
    width, like = residual.shape[1], (residual, y, gate, weight, scale, scale)
    dx, dy, dgate, dweight, dshift, dscale = (tensor.new_empty(tensor.shape) for tensor in like)
    config = config or find_config("gated_residual_rms_norm_modulate.backward", width, y.dtype, y.device)
    tiles = cut(residual, cu_seqlens, max_seqlen, config["PROGRAMS"], min_rows=MIN_SUMMED_ROWS)
    partial = residual.new_empty(tiles.count, 4, width, dtype=torch.float32)
    if tiles.count:
        with torch.cuda.device_of(residual):
            _backward_kernel[(tiles.count,)](
                dresidual,
                dnormed,
                residual,
                y,
                gate,
                weight.contiguous(),
                scale,
                cu_seqlens.contiguous(),
                dx,
                dy,
                partial,
                dresidual.stride(0),
                dnormed.stride(0),
                residual.stride(0),
                y.stride(0),
                gate.stride(0),
                scale.stride(0),
                eps,
                **tiles.arguments,
                **launch_constants(config, D=width),
            )
    sum_tiles(partial, cu_seqlens, tiles, (dgate, dshift, dscale), dweight)
    return dx, dy, dgate, dweight, dshift, dscale
