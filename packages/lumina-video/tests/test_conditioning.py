"""What is given of a film: which cells of its latent it decides, and that they are kept."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError, ShapeError
from flagdit_core.pipeline.arguments import FrameSize
from lumina_video import Film, VideoPipeline
from lumina_video.codec import CausalCodec, FilmCodec, FrameCodec, to_pixels
from lumina_video.conditioning import as_frame, known_frames, last_frames, usual_overlap
from lumina_video.film import Picture

SIZE = FrameSize(height=32, width=48, rows=4, columns=6)
CPU = torch.device("cpu")


def _pictures(count: int, *, seed: int = 0) -> list[Picture]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 32, 48, 3), dtype=np.uint8))


def _codec(pipeline: VideoPipeline) -> FilmCodec:
    codec: Any = pipeline.components.codec
    film_codec: FilmCodec = codec
    return film_codec


def _latent(codec: FilmCodec, pictures: list[Picture]) -> torch.Tensor:
    return codec.encode(to_pixels(torch.from_numpy(np.stack(pictures))))[0]


def test_frames_by_themselves(frame_codec: FrameCodec) -> None:
    """Frame by frame, each given picture decides the latent frame in its place, and no other."""
    first, last = _pictures(2), _pictures(1, seed=1)
    known = known_frames(frame_codec, (4, 6, 4, 6), SIZE, first=first, last=last, device=CPU)
    assert known is not None
    assert known.mask.flatten().tolist() == [True, True, False, False, False, True]
    assert torch.equal(known.values[:, :2], _latent(frame_codec, first))
    assert torch.equal(known.values[:, 5:], _latent(frame_codec, last))


def test_frames_of_a_causal_codec(causal_codec: CausalCodec) -> None:
    """Given beginnings are encoded as they are; an end is four pictures long, as if the film stood still before."""
    first, last = _pictures(5), _pictures(1, seed=1)
    known = known_frames(causal_codec, (4, 4, 4, 6), SIZE, first=first, last=last, device=CPU)
    assert known is not None
    assert known.mask.flatten().tolist() == [True, True, False, True]
    assert torch.equal(known.values[:, :2], _latent(causal_codec, first))
    assert torch.equal(known.values[:, 3:], _latent(causal_codec, last * 5)[:, 1:])
    end = known_frames(causal_codec, (4, 4, 4, 6), SIZE, first=[], last=_pictures(6), device=CPU)
    assert end is not None and end.mask.flatten().tolist() == [False, False, True, True]
    with pytest.raises(CodecError, match="got 2; the nearest are 1 and 5"):
        known_frames(causal_codec, (4, 4, 4, 6), SIZE, first=_pictures(2), last=[], device=CPU)


def test_nothing_given(frame_codec: FrameCodec) -> None:
    """Without given frames nothing is known."""
    assert known_frames(frame_codec, (4, 6, 4, 6), SIZE, first=[], last=[], device=CPU) is None


@pytest.mark.parametrize(("first", "last"), [(6, 0), (7, 0), (0, 6), (5, 1), (4, 4)])
def test_some_frame_must_be_left(first: int, last: int, frame_codec: FrameCodec) -> None:
    """What is given may not fill the film, or overlap."""
    with pytest.raises(ConfigError, match="of 6 frames are given, which leaves none to make"):
        known_frames(frame_codec, (4, 6, 4, 6), SIZE, first=_pictures(first), last=_pictures(last), device=CPU)


def test_given_frames_have_the_films_size(frame_codec: FrameCodec) -> None:
    """A frame of another size is refused, not stretched; one of numbers from 0 to 1 is not taken for a black one."""
    other = np.zeros((48, 32, 3), dtype=np.uint8)
    with pytest.raises(ShapeError, match="expected given frames of 48x32 pixels, got 32x48"):
        known_frames(frame_codec, (4, 6, 4, 6), SIZE, first=[other], last=[], device=CPU)
    floats: Any = np.ones((32, 48, 3))
    with pytest.raises(ConfigError, match="of uint8, 0 to 255, got float64"):
        known_frames(frame_codec, (4, 6, 4, 6), SIZE, first=[], last=[floats], device=CPU)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (30, 200), (200, 30), (1, 1), (47, 33)])
def test_pictures_cover_the_frame(width: int, height: int) -> None:
    """A picture of any shape is scaled to cover the frame and cut evenly: the middle stays there, no edge shows."""
    picture = np.full((height, width, 3), (10, 200, 30), dtype=np.uint8)
    frame = as_frame(Image.fromarray(picture), SIZE)
    assert frame.shape == (32, 48, 3) and frame.dtype == np.uint8
    assert (frame == (10, 200, 30)).all()
    left = picture.copy()
    left[:, : (width + 1) // 2] = 0
    if width > 1:
        columns = as_frame(Image.fromarray(left), SIZE)[16, :, 1]
        assert columns[:22].max() < 100 < 150 < columns[26:].min()


def test_a_picture_of_the_right_size_is_unchanged() -> None:
    """Nothing is resampled where nothing has to be."""
    picture = _pictures(1)[0]
    assert np.array_equal(as_frame(Image.fromarray(picture), SIZE), picture)


def test_what_is_clear_of_a_picture_is_white() -> None:
    """As it is in a file that the command line reads."""
    assert (as_frame(Image.new("RGBA", (48, 32), (255, 0, 0, 0)), SIZE) == 255).all()


def test_the_end_of_a_film() -> None:
    """The last frames in order, and no more than there are."""
    frames = np.stack(_pictures(5))
    film = Film(frames=frames, fps=8.0)
    assert np.array_equal(np.stack(last_frames(film, 2)), frames[3:])
    assert len(last_frames(film, 5)) == 5
    for count in (0, -1, 6, 2.0, True):
        with pytest.raises(ConfigError, match=f"overlap of 1 to 5 frames, as many as the film has, got {count}"):
            last_frames(film, count)


def test_usual_overlap(frame_codec: FrameCodec, causal_codec: CausalCodec) -> None:
    """Four frames, or the next number that the codec can encode."""
    assert [usual_overlap(frame_codec, count) for count in (1, 3, 4, 90)] == [1, 3, 4, 4]
    assert [usual_overlap(causal_codec, count) for count in (1, 4, 5, 90)] == [1, 1, 5, 5]
    assert causal_codec.latent_frames(5) == 2


def test_a_film_between_two_pictures(pipe: VideoPipeline) -> None:
    """First and last latents are those of the pictures, to rounding, and the frames between follow from both."""
    first, last = (Image.fromarray(_pictures(1, seed=seed)[0]) for seed in (3, 4))
    made = pipe("a red circle moves up", image=first, last_image=last, seed=1)
    given = _latent(_codec(pipe), [np.asarray(first), np.asarray(last)])
    torch.testing.assert_close(made.latents[0, :, [0, 5]], given, rtol=1e-5, atol=1e-5)
    assert made.report.settings["given_frames"] == {"first": 1, "last": 1}
    free, half = (
        pipe("a red circle moves up", seed=1).latents,
        pipe("a red circle moves up", image=first, seed=1).latents,
    )
    assert not torch.allclose(made.latents[:, :, 1:5], free[:, :, 1:5], atol=1e-4)
    assert not torch.allclose(made.latents[:, :, 1:5], half[:, :, 1:5], atol=1e-4)
    torch.testing.assert_close(half[0, :, 0], given[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fixture", "overlap", "given"), [("pipe", None, 4), ("pipe", 2, 2), ("causal_pipe", None, 5)])
def test_extension(fixture: str, overlap: int | None, given: int, request: pytest.FixtureRequest) -> None:
    """The new film begins with the latents of the old one's last frames, in the old one's size."""
    pipeline: VideoPipeline = request.getfixturevalue(fixture)
    before = np.random.default_rng(0).integers(0, 256, (7, 48, 64, 3), dtype=np.uint8)
    made = pipeline("a red circle moves up", video=Film(frames=before, fps=8.0), overlap=overlap, seed=1)
    codec = _codec(pipeline)
    expected = _latent(codec, list(before[-given:]))
    assert made.latents.shape[-2:] == (6, 8)
    torch.testing.assert_close(made.latents[0, :, : expected.shape[1]], expected, rtol=1e-5, atol=1e-5)
    assert made.report.settings["given_frames"] == {"first": given, "last": 0}


def test_contradictions(pipe: VideoPipeline) -> None:
    """Two beginnings, an overlap without a film, a film of another size than asked for, and a stochastic solver."""
    picture, film = Image.new("RGB", (48, 32)), Film(frames=np.zeros((5, 32, 48, 3), np.uint8), fps=8.0)
    with pytest.raises(ConfigError, match="give image or video"):
        pipe("a", image=picture, video=film)
    with pytest.raises(ConfigError, match="give video too, got 3"):
        pipe("a", overlap=3)
    with pytest.raises(ShapeError, match="expected given frames of 64x32 pixels, got 48x32"):
        pipe("a", video=film, width=64, height=32)
    with pytest.raises(ConfigError, match="solver without noise"):
        pipe("a", image=picture, solver="sde-euler-maruyama")
