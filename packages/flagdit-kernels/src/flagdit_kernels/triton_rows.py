"""What the kernels share that walk packed tokens row by row: the cut into tiles, loads, norms, and sums over tokens.

A program owns a tile, consecutive rows of one segment, and takes ``ROWS`` of them at a time, so that weight, shift and
scale stay in registers; with ``NUM_STAGES`` above 1 the next rows are on their way while these are reduced. A gradient
that sums over tokens (weight, shift, scale, gate) leaves one row of float32 per tile, and `sum_tiles` adds these rows
in a fixed order: deterministic, without atomics. The number of tiles follows the GPU and not the tokens, so that these
rows stay few beside the tokens.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.configs import Config
from flagdit_kernels.segments import are_equal
from flagdit_kernels.triton_segments import find_tile, max_tiles, search_steps, tiles_of_segment

# A tile of fewer rows than this would leave sums for the gradients that weigh as much as the tokens themselves.
MIN_SUMMED_ROWS = 8
# Arguments that change from call to call: a kernel is not compiled again where one happens to divide by 16.
TILE_SIZES = ["num_segments", "num_steps", "segment_length", "rows_per_tile"]


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """A cut of packed rows into tiles that never straddle two segments.

    Args:
        count: programs to launch; with unequal segments an upper bound of the tiles.
        rows_per_tile: rows of a tile that is full.
        num_segments: segments.
        segment_length: rows of every segment where all are equal, else None.
    """

    count: int
    rows_per_tile: int
    num_segments: int
    segment_length: int | None

    @property
    def arguments(self) -> dict[str, int | bool]:
        """What `rows_of_tile` takes besides ``cu_seqlens``, which equal segments are found without."""
        return {
            "num_segments": self.num_segments,
            "num_steps": search_steps(self.num_segments),
            "segment_length": self.segment_length or 0,
            "rows_per_tile": self.rows_per_tile,
            "EQUAL": self.segment_length is not None,
        }


def cut(
    x_LD: Tensor, cu_seqlens: Tensor | None, max_seqlen: int, programs_per_processor: int, *, min_rows: int = 1
) -> Tiles:
    """Tiles for about so many programs on each processor of x's GPU, at least ``min_rows`` rows in a full tile.

    A segment adds at most one tile that is not full. These are counted in, so that a grid that is meant to be resident
    at once does not need a second wave for them. Without ``cu_seqlens`` all rows are one segment.
    """
    num_tokens, num_segments = x_LD.shape[0], 1 if cu_seqlens is None else cu_seqlens.shape[0] - 1
    programs = programs_per_processor * num_processors(x_LD.device)
    rows = max(min_rows, triton.cdiv(num_tokens, max(programs - num_segments + 1, (programs + 1) // 2)))
    if cu_seqlens is None or are_equal(num_tokens, cu_seqlens, max_seqlen):
        count, length = num_segments * triton.cdiv(max_seqlen, rows), max_seqlen
    else:
        count, length = max_tiles(num_tokens, num_segments, rows), None
    return Tiles(count=count, rows_per_tile=rows, num_segments=num_segments, segment_length=length)


def num_processors(device: torch.device) -> int:
    """Streaming multiprocessors or compute units of a GPU; one in the interpreter, which runs on the CPU."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def as_rows(x: Tensor) -> Tensor:
    """The tensor, copied only where a row is not contiguous."""
    return x if x.stride(-1) == 1 else x.contiguous()


def launch_constants(config: Config, **sizes: int) -> dict[str, int]:
    """What a kernel is launched with: sizes, the power of two that holds each (``D`` and ``BLOCK_D``), and blocks."""
    blocks = {f"BLOCK_{name}": triton.next_power_of_2(size) for name, size in sizes.items()}
    return {**sizes, **blocks, **{name: value for name, value in config.items() if name != "PROGRAMS"}}


@triton.jit
def rows_of_tile(CU_SEQLENS, tile, num_segments, num_steps, segment_length, rows_per_tile, EQUAL: tl.constexpr):
    """The segment of a tile (int64, for offsets), its first row, and the row after its last; a tile may be empty."""
    if EQUAL:
        tiles = (segment_length + rows_per_tile - 1) // rows_per_tile
        segment = tile // tiles
        start = segment * segment_length + (tile - segment * tiles) * rows_per_tile
        end = (segment + 1) * segment_length
    else:
        segment, _, end, start = find_tile(CU_SEQLENS, tile, num_segments, num_steps, rows_per_tile)
    return segment.to(tl.int64), start, tl.minimum(start + rows_per_tile, end)


@triton.jit
def rows_from(first, stop, inside, ROWS: tl.constexpr):
    """The next rows of a tile, [ROWS, 1] int64, and the mask of a block of them, given that of its columns."""
    row = first + tl.arange(0, ROWS)[:, None]
    mask = inside[None, :]
    if ROWS > 1:
        mask = mask & (row < stop)
    return row.to(tl.int64), mask


@triton.jit
def load_rows(X, row, x_stride, column, mask):
    """A block of rows in float32, zero where masked."""
    return tl.load(X + row * x_stride + column[None, :], mask=mask, other=0.0).to(tl.float32)


@triton.jit
def store_rows(X, row, x_stride, column, mask, value):
    """Write a block of rows, rounded to the dtype of X."""
    tl.store(X + row * x_stride + column[None, :], value.to(X.dtype.element_ty), mask=mask)


@triton.jit
def load_values(X, segment, x_stride, column, inside):
    """A segment's row of values in float32; a parameter is the row of segment 0."""
    return tl.load(X + segment * x_stride + column, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def rms_norm(x, D: tl.constexpr, eps):
    """``x / sqrt(mean(x^2) + eps)`` of each row of a block."""
    return x * tl.rsqrt(tl.sum(x * x, 1) / D + eps)[:, None]


@triton.jit
def rms_norm_backward(dnormed, x, D: tl.constexpr, eps):
    """The gradient of `rms_norm`'s input, and its output again."""
    squares, slope = _sum_both(x * x, dnormed * x)
    rstd = tl.rsqrt(squares / D + eps)
    normed = x * rstd
    return rstd * (dnormed - normed * (slope * rstd / D)), normed


@triton.jit
def layer_norm(x, inside, D: tl.constexpr, eps):
    """``(x - mean(x)) / sqrt(var(x) + eps)`` of each row of a block, zero outside of its columns."""
    mean = tl.sum(x, 1)[:, None] / D
    return rms_norm(tl.where(inside[None, :], x - mean, 0.0), D, eps)


@triton.jit
def layer_norm_backward(dnormed, x, inside, D: tl.constexpr, eps):
    """The gradient of `layer_norm`'s input, and its output again."""
    total, shift = _sum_both(x, dnormed)
    centred = tl.where(inside[None, :], x - total / D, 0.0)
    squares, slope = _sum_both(centred * centred, dnormed * centred)
    rstd = tl.rsqrt(squares / D + eps)
    normed = centred * rstd
    return rstd * (dnormed - shift / D - normed * (slope * rstd / D)), normed


@triton.jit
def _sum_both(a, b):
    """The sums of two blocks along their rows, [ROWS, 1] each, in one exchange between the warps."""
    total_a, total_b = tl.split(tl.sum(tl.join(a, b), 1))
    return total_a[:, None], total_b[:, None]


@triton.jit
def store_sum(PARTIAL, tile, kind, value, KINDS: tl.constexpr, D: tl.constexpr, column, inside):
    """Leave a tile's sum over its rows for `sum_tiles`."""
    tl.store(PARTIAL + (tile.to(tl.int64) * KINDS + kind) * D + column, value, mask=inside)


@triton.jit(do_not_specialize=[*TILE_SIZES, "num_tiles"])
def _sum_tiles_kernel(
    PARTIAL,
    CU_SEQLENS,
    OUT_0,
    OUT_1,
    OUT_2,
    OUT_3,
    num_tiles,
    num_segments,
    num_steps,
    segment_length,
    rows_per_tile,
    EQUAL: tl.constexpr,
    KINDS: tl.constexpr,
    SHARED: tl.constexpr,
    D: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_T: tl.constexpr,
):
    """Add up one kind of sum over the tiles of a segment, or the last SHARED kind over all, in a block of columns."""
    column_blocks: tl.constexpr = (D + BLOCK_C - 1) // BLOCK_C
    column = (tl.program_id(0) % column_blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = column < D
    # One program before all others for the shared kind, then kind by kind and segment by segment.
    index = tl.program_id(0) // column_blocks - SHARED
    kind = tl.where(index < 0, KINDS - 1, index // num_segments)
    segment = tl.where(index < 0, 0, index % num_segments)
    if EQUAL:
        tiles = (segment_length + rows_per_tile - 1) // rows_per_tile
        first = segment * tiles
        end = first + tiles
    else:
        first, end = tiles_of_segment(CU_SEQLENS, segment, rows_per_tile)
    if SHARED:
        end = tl.where(index < 0, num_tiles, end)
    total = tl.zeros([BLOCK_C], dtype=tl.float32)
    for block in range(first, end, BLOCK_T):
        tile = block + tl.arange(0, BLOCK_T)
        partial = PARTIAL + (tile.to(tl.int64)[:, None] * KINDS + kind) * D + column[None, :]
        total += tl.sum(tl.load(partial, mask=(tile < end)[:, None] & inside[None, :], other=0.0), 0)
    out = segment.to(tl.int64) * D + column
    if kind == 0:
        tl.store(OUT_0 + out, total.to(OUT_0.dtype.element_ty), mask=inside)
    if KINDS > 1:
        if kind == 1:
            tl.store(OUT_1 + out, total.to(OUT_1.dtype.element_ty), mask=inside)
    if KINDS > 2:
        if kind == 2:
            tl.store(OUT_2 + out, total.to(OUT_2.dtype.element_ty), mask=inside)
    if KINDS > 3:
        if kind == 3:
            tl.store(OUT_3 + out, total.to(OUT_3.dtype.element_ty), mask=inside)


def sum_tiles(
    partial_TKD: Tensor,
    cu_seqlens: Tensor | None,
    tiles: Tiles,
    per_segment: tuple[Tensor, ...],
    shared: Tensor | None = None,
) -> None:
    """Write sums over the rows of each segment (B, D), and of all segments (D,), from the float32 sums of tiles.

    The kinds of sums lie in ``partial`` in the order of the outputs, at most four, that of all segments last.
    """
    outputs = per_segment if shared is None else (*per_segment, shared)
    kinds, width = partial_TKD.shape[1:]
    assert len(outputs) == kinds <= 4
    num_sums = len(per_segment) * tiles.num_segments + (shared is not None)
    if num_sums:
        with torch.cuda.device_of(partial_TKD):
            _sum_tiles_kernel[(num_sums * triton.cdiv(width, 64),)](
                partial_TKD,
                None if cu_seqlens is None else cu_seqlens.contiguous(),
                *outputs,
                *(None,) * (4 - kinds),
                tiles.count,
                **tiles.arguments,
                KINDS=kinds,
                SHARED=int(shared is not None),
                D=width,
                BLOCK_C=64,
                BLOCK_T=64,
                num_warps=4,
            )
