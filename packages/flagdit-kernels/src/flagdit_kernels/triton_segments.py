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


def search_steps(num_segments: int) -> int:
    """Halvings that `find_tile` needs: none for one segment."""
    return max(num_segments - 1, 0).bit_length()


@triton.jit
def find_tile(CU_SEQLENS, tile, num_segments, num_steps, rows_per_tile):
    """The segment that owns a tile, its first row and end, and the tile's first row, which may lie past the end.

    Segment b owns the tiles from ``cu_seqlens[b] // rows_per_tile + b`` on, which are enough for it and `max_tiles` in
    all: the owner is found by bisection over ``cu_seqlens`` alone, for any number of segments. The search is a loop of
    known length, since warp specialisation in Triton 3.6 fails beside a ``while``.
    """
    segment = tile * 0
    for step in range(num_steps):
        middle = tl.minimum(segment + (1 << (num_steps - 1 - step)), num_segments)
        segment = tl.where(tl.load(CU_SEQLENS + middle) // rows_per_tile + middle <= tile, middle, segment)
    begin = tl.load(CU_SEQLENS + segment)
    end = tl.load(CU_SEQLENS + segment + 1)
    return segment, begin, end, begin + (tile - begin // rows_per_tile - segment) * rows_per_tile


@triton.jit
def tiles_of_segment(CU_SEQLENS, segment, rows_per_tile):
    """The first tile of a segment, and the one after its last that has rows."""
    begin = tl.load(CU_SEQLENS + segment)
    first = begin // rows_per_tile + segment
    return first, first + (tl.load(CU_SEQLENS + segment + 1) - begin + rows_per_tile - 1) // rows_per_tile
