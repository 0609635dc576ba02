"""Gated residual in Triton: ``out = x + gate * y``; ``dy = gate * dout``, dgate sums ``dout * y`` over a segment.

Traffic in half precision: forward 6 bytes per value (x and y in, out out) and 2 FLOPs; backward 6 bytes (dout and y in,
dy out; dx is dout itself) and 3 FLOPs. Design: the walk over rows of `rms_norm_modulate`, which keeps the gate of a
segment in registers and adds up its gradient there.
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
    CU_SEQLENS,
    OUT,
    x_stride,
    y_stride,
    gate_stride,
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
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        x = load_rows(X, row, x_stride, column, mask)
        y = load_rows(Y, row, y_stride, column, mask)
        store_rows(OUT, row, D, column, mask, x + gate * y)


@triton.jit(do_not_specialize=TILE_SIZES)
def _backward_kernel(
    DOUT,
    Y,
    GATE,
    CU_SEQLENS,
    DY,
    PARTIAL,
    dout_stride,
    y_stride,
    gate_stride,
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
    dgate = tl.zeros([BLOCK_D], dtype=tl.float32)
    for first in tl.range(start, stop, ROWS, num_stages=NUM_STAGES):
        row, mask = rows_from(first, stop, inside, ROWS)
        dout = load_rows(DOUT, row, dout_stride, column, mask)
        y = load_rows(Y, row, y_stride, column, mask)
        store_rows(DY, row, D, column, mask, gate * dout)
        dgate += tl.sum(dout * y, 0)
    store_sum(PARTIAL, tile, 0, dgate, 1, D, column, inside)


def forward(
    x: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int, config: Config | None = None
) -> Tensor:
    """``x + gate * y``, computed in float32 and rounded once."""
    x, y, gate = (as_rows(tensor) for tensor in (x, y, gate))
    width, out = x.shape[1], x.new_empty(x.shape)
    config = config or find_config("gated_residual.forward", width, x.dtype, x.device)
    tiles = cut(x, cu_seqlens, max_seqlen, config["PROGRAMS"])
    if tiles.count:
        with torch.cuda.device_of(x):
            _forward_kernel[(tiles.count,)](
                x,
                y,
                gate,
                cu_seqlens.contiguous(),
                out,
                x.stride(0),
                y.stride(0),
                gate.stride(0),
                **tiles.arguments,
                **launch_constants(config, D=width),
            )
    return out


def backward(
    dout: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int, config: Config | None = None
) -> tuple[Tensor, Tensor]:
    """The gradients of y and gate; that of x is ``dout`` itself."""
    dout, y, gate = (as_rows(tensor) for tensor in (dout, y, gate))
    width, dy, dgate = y.shape[1], y.new_empty(y.shape), gate.new_empty(gate.shape)
    config = config or find_config("gated_residual.backward", width, y.dtype, y.device)
    tiles = cut(y, cu_seqlens, max_seqlen, config["PROGRAMS"], min_rows=MIN_SUMMED_ROWS)
    partial = y.new_empty(tiles.count, 1, width, dtype=torch.float32)
    if tiles.count:
        with torch.cuda.device_of(y):
            _backward_kernel[(tiles.count,)](
                dout,
                y,
                gate,
                cu_seqlens.contiguous(),
                dy,
                partial,
                dout.stride(0),
                y.stride(0),
                gate.stride(0),
                **tiles.arguments,
                **launch_constants(config, D=width),
            )
    sum_tiles(partial, cu_seqlens, tiles, (dgate,))
    return dy, dgate
