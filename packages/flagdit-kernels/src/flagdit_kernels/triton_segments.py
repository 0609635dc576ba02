"""How Triton kernels find their segment: rows are cut into tiles that never straddle two segments.

Each program searches ``cu_seqlens`` itself, so that no table of tiles and no per-token value is ever written. The grid
is an upper bound known on the host; programs past the last tile have nothing to do.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import triton
import triton.language as tl


def max_tiles(num_tokens: int, num_segments: int, rows_per_tile: int) -> int:
    """No cut into segments gives more tiles than this: each segment adds at most one that is not full."""
    return num_tokens // rows_per_tile + num_segments


@triton.jit
def locate_tile(CU_SEQLENS, tile, num_segments, rows_per_tile, BLOCK_B: tl.constexpr):
    """The segment of a tile, its first row, and the row after its last; no rows past the last tile."""
    index = tl.arange(0, BLOCK_B)
    begin = tl.load(CU_SEQLENS + index, mask=index < num_segments, other=0)
    end = tl.load(CU_SEQLENS + index + 1, mask=index < num_segments, other=0)
    tiles = (end - begin + rows_per_tile - 1) // rows_per_tile
    tiles_up_to = tl.cumsum(tiles, 0)
    segment = tl.sum((tiles_up_to <= tile).to(tl.int32), 0)
    here = index == segment
    first_tile = tl.sum(tl.where(here, tiles_up_to - tiles, 0), 0)
    start = tl.sum(tl.where(here, begin, 0), 0) + (tile - first_tile) * rows_per_tile
    stop = tl.minimum(start + rows_per_tile, tl.sum(tl.where(here, end, 0), 0))
    return segment, start, stop


@triton.jit
def tiles_of_segment(CU_SEQLENS, segment, num_segments, rows_per_tile, BLOCK_B: tl.constexpr):
    """The first tile of a segment, and the tile after its last."""
    index = tl.arange(0, BLOCK_B)
    begin = tl.load(CU_SEQLENS + index, mask=index < num_segments, other=0)
    end = tl.load(CU_SEQLENS + index + 1, mask=index < num_segments, other=0)
    tiles = (end - begin + rows_per_tile - 1) // rows_per_tile
    first = tl.sum(tl.where(index < segment, tiles, 0), 0)
    return first, first + tl.sum(tl.where(index == segment, tiles, 0), 0)
