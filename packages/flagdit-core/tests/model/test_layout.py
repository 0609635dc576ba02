"""The packed layout: lossless, and spelled as documented."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flagdit_core.errors import ShapeError
from flagdit_core.layout import NEXT_FRAME, NEXT_LINE, Layout, like, pack, unpack

layouts = st.builds(
    Layout,
    patch_size=st.sampled_from([1, 2, 3]),
    next_line=st.booleans(),
    next_frame=st.sampled_from(["films", "always"]),
    row_stride=st.sampled_from([0, 2, 9]),
)
grids = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4)


@given(layout=layouts, grids=grids, channels=st.integers(1, 3))
def test_round_trip(layout: Layout, grids: list[tuple[int, int, int]], channels: int) -> None:
    """Packing and unpacking any mix of shapes gives back the same values."""
    p = layout.patch_size
    latents = [torch.randn(channels, frames, rows * p, columns * p) for frames, rows, columns in grids]
    packed = pack(latents, layout)
    restored = unpack(packed.tokens, packed.shapes, layout)
    assert all(torch.equal(a, b) for a, b in zip(latents, restored, strict=True))
    assert packed.cu_seqlens.diff().tolist() == [layout.sequence_length(tuple(x.shape)) for x in latents]
    assert len(packed.tokens) == len(packed.kinds) == len(packed.positions) == int(packed.cu_seqlens[-1])


def test_spelling() -> None:
    """Rows are closed by [nextline] and frames by [nextframe]; positions count both and start anew in each latent."""
    packed = pack([torch.ones(1, 2, 4, 6), torch.ones(1, 1, 2, 2)], Layout(patch_size=2))
    frame = [0, 0, 0, NEXT_LINE] * 2 + [NEXT_FRAME]
    assert packed.kinds.tolist() == [*frame, *frame, 0, NEXT_LINE]
    assert packed.positions.tolist() == [*range(18), 0, 1]
    assert packed.max_seqlen == 18


def test_row_stride() -> None:
    """Rows are a stride apart whatever their width; a stride of no more than a row's own length changes nothing."""
    film = torch.ones(1, 2, 4, 4)
    packed = pack([film, torch.ones(1, 1, 4, 6)], Layout(patch_size=2, row_stride=10))
    frame = [0, 1, 2, 10, 11, 12, 20]
    assert packed.positions.tolist() == [*frame, *(21 + place for place in frame), 0, 1, 2, 3, 10, 11, 12, 13]
    for stride in (2, 3):
        assert torch.equal(pack([film], Layout(row_stride=stride)).positions, pack([film]).positions)


def test_patch_order() -> None:
    """Within a token the column runs fastest and the channel slowest, as in the authors' patches."""
    latent = torch.arange(2 * 2 * 2.0).reshape(2, 2, 2)
    assert pack([latent]).tokens[0].tolist() == list(range(8))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 3, 5, 4, 6), (2, 3, 9)])
def test_batch_equals_list(shape: tuple[int, ...]) -> None:
    """A batch and the list of its items are the same sequence, and come back in their own type."""
    layout = Layout(patch_size=2 if len(shape) > 3 else 1, next_line=len(shape) > 3)
    batch = torch.randn(shape)
    packed, listed = pack(batch, layout), pack(list(batch), layout)
    assert torch.equal(packed.tokens, listed.tokens)
    films = unpack(packed.tokens, packed.shapes, layout)
    assert torch.equal(like(films, batch), batch)
    assert all(torch.equal(a, b) for a, b in zip(like(films, list(batch)), batch, strict=True))


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        ([], "at least one latent"),
        (torch.zeros(4, 4), "expected a latent"),
        ([torch.zeros(4, 3, 4)], "divisible by the patch size 2"),
        (torch.zeros(1, 4, 0, 4), "not empty"),
    ],
)
def test_bad_latents(latents: torch.Tensor | list[torch.Tensor], message: str) -> None:
    """What cannot be packed is named."""
    with pytest.raises(ShapeError, match=message):
        pack(latents)


def test_bad_tokens() -> None:
    """A sequence of another length is refused."""
    with pytest.raises(ShapeError, match="expected 6 tokens"):
        unpack(torch.zeros(5, 16), [(4, 1, 4, 4)])


def test_frames_without_marker() -> None:
    """Several frames need [nextframe]."""
    with pytest.raises(ShapeError, match="no \\[nextframe\\]"):
        pack(torch.zeros(1, 4, 2, 4, 4), Layout(next_frame="never"))
