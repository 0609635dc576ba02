"""RMSNorm with modulation in Triton.

Forward reads x once and writes the output once: 4 bytes per value in half precision. Backward reads x and the output's
gradient and writes x's, 6 bytes per value; the statistics are computed again from x, which costs no traffic. A program
owns a tile of rows of one segment, so weight, shift and scale stay in registers, and the sums for their gradients go to
one buffer row per tile, added up in a fixed order by a second kernel: deterministic, without atomics.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.triton_segments import locate_tile, max_tiles, tiles_of_segment

FORWARD_ROWS = 4
# Tiles of backward: enough to fill a large GPU, few enough that the buffer of partial sums stays small beside x.
MIN_BACKWARD_ROWS = 32
MAX_BACKWARD_TILES = 512


@triton.jit
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
    num_segments,
    rows_per_tile,
    eps,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    segment, start, stop = locate_tile(CU_SEQLENS, tl.program_id(0), num_segments, rows_per_tile, BLOCK_B)
    if start < stop:
        column = tl.arange(0, BLOCK_D)
        mask = column < D
        shift_row = SHIFT + segment.to(tl.int64) * shift_stride
        scale_row = SCALE + segment.to(tl.int64) * scale_stride
        weight = tl.load(WEIGHT + column, mask=mask, other=0.0).to(tl.float32)
        shift = tl.load(shift_row + column, mask=mask, other=0.0).to(tl.float32)
        factor = weight * (1.0 + tl.load(scale_row + column, mask=mask, other=0.0).to(tl.float32))
        for row in range(start, stop):
            row64 = tl.cast(row, tl.int64)
            x = tl.load(X + row64 * x_stride + column, mask=mask, other=0.0).to(tl.float32)
            rstd = tl.rsqrt(tl.sum(x * x, 0) / D + eps)
            tl.store(OUT + row64 * D + column, (x * rstd * factor + shift).to(OUT.dtype.element_ty), mask=mask)


@triton.jit
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
    num_segments,
    rows_per_tile,
    eps,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    tile = tl.program_id(0)
    segment, start, stop = locate_tile(CU_SEQLENS, tile, num_segments, rows_per_tile, BLOCK_B)
    if start < stop:
        column = tl.arange(0, BLOCK_D)
        mask = column < D
        weight = tl.load(WEIGHT + column, mask=mask, other=0.0).to(tl.float32)
        scale_row = SCALE + segment.to(tl.int64) * scale_stride
        factor = weight * (1.0 + tl.load(scale_row + column, mask=mask, other=0.0).to(tl.float32))
        dshift = tl.zeros([BLOCK_D], dtype=tl.float32)
        dfactor = tl.zeros([BLOCK_D], dtype=tl.float32)
        for row in range(start, stop):
            row64 = tl.cast(row, tl.int64)
            x = tl.load(X + row64 * x_stride + column, mask=mask, other=0.0).to(tl.float32)
            dout = tl.load(DOUT + row64 * dout_stride + column, mask=mask, other=0.0).to(tl.float32)
            rstd = tl.rsqrt(tl.sum(x * x, 0) / D + eps)
            normed = x * rstd
            dnormed = dout * factor
            dx = rstd * (dnormed - normed * (tl.sum(dnormed * normed, 0) / D))
            tl.store(DX + row64 * D + column, dx.to(DX.dtype.element_ty), mask=mask)
            dshift += dout
            dfactor += dout * normed
        partial = PARTIAL + tile.to(tl.int64) * (2 * D) + column
        tl.store(partial, dshift, mask=mask)
        tl.store(partial + D, dfactor, mask=mask)


@triton.jit
def _reduce_kernel(
    PARTIAL,
    WEIGHT,
    SCALE,
    CU_SEQLENS,
    DWEIGHT_PARTIAL,
    DSHIFT,
    DSCALE,
    scale_stride,
    num_segments,
    rows_per_tile,
    D: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    """Add up the tiles of one segment, for one block of columns."""
    column_blocks: tl.constexpr = (D + BLOCK_C - 1) // BLOCK_C
    segment = tl.program_id(0) // column_blocks
    column = (tl.program_id(0) % column_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask = column < D
    first, end = tiles_of_segment(CU_SEQLENS, segment, num_segments, rows_per_tile, BLOCK_B)
    dshift = tl.zeros([BLOCK_C], dtype=tl.float32)
    dfactor = tl.zeros([BLOCK_C], dtype=tl.float32)
    for block in range(first, end, BLOCK_T):
        tile = block + tl.arange(0, BLOCK_T)
        partial = PARTIAL + tile.to(tl.int64)[:, None] * (2 * D) + column[None, :]
        inside = (tile < end)[:, None] & mask[None, :]
        dshift += tl.sum(tl.load(partial, mask=inside, other=0.0), 0)
        dfactor += tl.sum(tl.load(partial + D, mask=inside, other=0.0), 0)
    segment = segment.to(tl.int64)
    weight = tl.load(WEIGHT + column, mask=mask, other=0.0).to(tl.float32)
    factor = 1.0 + tl.load(SCALE + segment * scale_stride + column, mask=mask, other=0.0).to(tl.float32)
    out = segment * D + column
    tl.store(DSHIFT + out, dshift.to(DSHIFT.dtype.element_ty), mask=mask)
    tl.store(DSCALE + out, (dfactor * weight).to(DSCALE.dtype.element_ty), mask=mask)
    tl.store(DWEIGHT_PARTIAL + out, dfactor * factor, mask=mask)


def forward(x: Tensor, weight: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, eps: float) -> Tensor:
    """``RMS(x) * weight * (1 + scale) + shift``, computed in float32 and rounded once."""
    x, shift, scale = (_rows(tensor) for tensor in (x, shift, scale))
    (num_tokens, width), num_segments = x.shape, scale.shape[0]
    out = x.new_empty(x.shape)
    with torch.cuda.device_of(x):
        _forward_kernel[(max_tiles(num_tokens, num_segments, FORWARD_ROWS),)](
            x,
            weight.contiguous(),
            shift,
            scale,
            cu_seqlens,
            out,
            x.stride(0),
            shift.stride(0),
            scale.stride(0),
            num_segments,
            FORWARD_ROWS,
            eps,
            D=width,
            **_blocks(width, num_segments),
        )
    return out


def backward(
    dout: Tensor, x: Tensor, weight: Tensor, scale: Tensor, cu_seqlens: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, weight, shift and scale."""
    dout, x, scale, weight = (*(_rows(tensor) for tensor in (dout, x, scale)), weight.contiguous())
    (num_tokens, width), num_segments = x.shape, scale.shape[0]
    rows_per_tile = max(MIN_BACKWARD_ROWS, 16 * triton.cdiv(num_tokens, 16 * MAX_BACKWARD_TILES))
    num_tiles = max_tiles(num_tokens, num_segments, rows_per_tile)
    dx, dshift, dscale = x.new_empty(x.shape), scale.new_empty(scale.shape), scale.new_empty(scale.shape)
    partial = x.new_empty(num_tiles, 2, width, dtype=torch.float32)
    dweight_partial = x.new_empty(num_segments, width, dtype=torch.float32)
    blocks = _blocks(width, num_segments)
    with torch.cuda.device_of(x):
        _backward_kernel[(num_tiles,)](
            dout,
            x,
            weight,
            scale,
            cu_seqlens,
            dx,
            partial,
            dout.stride(0),
            x.stride(0),
            scale.stride(0),
            num_segments,
            rows_per_tile,
            eps,
            D=width,
            **blocks,
        )
        _reduce_kernel[(num_segments * triton.cdiv(width, 64),)](
            partial,
            weight,
            scale,
            cu_seqlens,
            dweight_partial,
            dshift,
            dscale,
            scale.stride(0),
            num_segments,
            rows_per_tile,
            D=width,
            BLOCK_C=64,
            BLOCK_T=16,
            BLOCK_B=blocks["BLOCK_B"],
            num_warps=4,
        )
    return dx, dweight_partial.sum(0).to(weight.dtype), dshift, dscale


def _rows(x: Tensor) -> Tensor:
    """The tensor, copied only where a row is not contiguous."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _blocks(width: int, num_segments: int) -> dict[str, int]:
    """Block sizes and warps of the kernels that hold whole rows."""
    block = triton.next_power_of_2(width)
    return {
        "BLOCK_D": block,
        "BLOCK_B": triton.next_power_of_2(num_segments),
        "num_warps": min(max(block // 512, 1), 16),
    }
