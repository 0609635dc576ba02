"""The verifier: calibrated on the world's own films, clean and distorted, and sharp on single facts."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.world import World
from lumina_video import Film
from lumina_video.world import Actor, Claims, FilmWorld, ObjectClaim, Scene, calibrate, draw, frames, verify

Pictures = npt.NDArray[np.uint8]
CAPTION = "a medium red star moves from left to right on a white background"


def _blur(film: Pictures) -> Pictures:
    return np.clip(np.rint(ndimage.gaussian_filter(film.astype(float), (0, 0.7, 0.7, 0))), 0, 255).astype(np.uint8)


def _noise(film: Pictures) -> Pictures:
    generator = np.random.default_rng(int(film.sum()))
    return np.clip(np.rint(film + generator.normal(0, 4, film.shape)), 0, 255).astype(np.uint8)


def _scene(*actors: tuple[str, str, float, str], background: str = "white") -> Scene:
    made = tuple(Actor(shape=s, color=c, radius=0.2, x=0.5, y=y, motion=m) for c, s, y, m in actors)
    claims = Claims(objects=tuple(ObjectClaim(shape=a.shape, motion=a.motion, color=a.color) for a in made))
    return Scene(background=background, actors=made, claims=claims)


@pytest.mark.parametrize(
    ("count", "width", "height", "num_frames"), [(14, 64, 64, 8), (7, 64, 64, 16), (7, 96, 64, 7), (7, 64, 112, 9)]
)
def test_calibration_on_clean_films(count: int, width: int, height: int, num_frames: int) -> None:
    """All right captions pass, and none with one fact swapped, at several sizes, shapes and lengths."""
    rates = calibrate(count, width=width, height=height, num_frames=num_frames, seed=1)
    assert rates["right"]["all"] == 1
    assert rates["swapped"]["all"] == 0
    assert len(rates["right"]) == 8  # seven categories and all


@pytest.mark.parametrize("distort", [_blur, _noise])
def test_calibration_on_distorted_films(distort: Callable[[Pictures], Pictures]) -> None:
    """Blur and noise leave right captions passing and wrong ones failing."""
    rates = calibrate(7, seed=2, distort=distort)
    assert rates["right"]["all"] == 1
    assert rates["swapped"]["all"] == 0


@pytest.mark.parametrize(
    ("caption", "failing"),
    [
        (CAPTION, set()),
        ("a star goes right", set()),
        ("a medium blue star moves from left to right on a white background", {"color"}),
        ("a medium red heart moves from left to right on a white background", {"shape"}),
        ("a large red star moves from left to right on a white background", {"size"}),
        ("a medium red star moves from right to left on a white background", {"motion"}),
        ("a medium red star stays still on a white background", {"motion"}),
        ("a medium red star moves from left to right on a gray background", {"background"}),
        ("a red star moves from left to right and a blue square stays still", {"count", "shape", "color", "motion"}),
    ],
)
def test_only_the_wrong_fact_fails(caption: str, failing: set[str]) -> None:
    """Each kind of check fails by itself, and what a caption does not say is not checked."""
    verdict = verify(draw(_scene(("red", "star", 0.5, "moves right")), 8, 64, 64), caption)
    assert {check.kind for check in verdict.checks if not check.passed} == failing
    assert verdict.passed == (not failing)


def test_motions_belong_to_their_objects() -> None:
    """Of two objects, each does what is said of it: exchanged motions fail, exchanged order does not."""
    film = draw(_scene(("red", "star", 0.25, "moves right"), ("blue", "square", 0.75, "stays still")), 8, 64, 64)
    assert verify(film, "a red star moves to the right and a blue square rests").passed
    assert verify(film, "a blue square rests and a red star moves to the right").passed
    assert not verify(film, "a red star rests and a blue square moves to the right").passed


def test_a_film_played_backwards_is_another() -> None:
    """Order is what makes a motion: reversed and shuffled films fail the motion and nothing else."""
    film = draw(_scene(("red", "star", 0.5, "moves right")), 8, 64, 64)
    for order in (range(7, -1, -1), (3, 0, 6, 1, 7, 2, 5, 4)):
        failed = [check.kind for check in verify(film[list(order)], CAPTION).checks if not check.passed]
        assert failed == ["motion"]
    assert verify(film[::-1], "a star goes left").passed


@pytest.mark.parametrize("level", [0, 248])
def test_an_empty_film_fails(level: int) -> None:
    """Nothing is found in nothing, and nothing that fades is not there either."""
    empty = np.full((8, 64, 80, 3), level, dtype=np.uint8)
    for caption in ("a red star goes right", "a red star fades in"):
        assert not any(check.passed for check in verify(empty, caption).checks)


def test_films_frames_and_streams_are_judged_alike() -> None:
    """An array, a film and frames that are made as they are asked for give one verdict."""
    scene = _scene(("red", "star", 0.5, "moves right"))
    film = draw(scene, 8, 64, 64)
    assert (
        verify(film, CAPTION)
        == verify(Film(frames=film, fps=8.0), CAPTION)
        == verify([*frames(scene, 8, 64, 64)], CAPTION)
    )


def test_what_cannot_be_judged_is_refused() -> None:
    """Films too short or too small, and sentences outside the language, raise our error."""
    film = draw(_scene(("red", "star", 0.5, "moves right")), 8, 64, 64)
    with pytest.raises(ShapeError, match="at least 7 frames, got 6"):
        verify(film[:6], CAPTION)
    with pytest.raises(ShapeError, match="32 pixels or more"):
        verify(film[:, :30], CAPTION)
    with pytest.raises(ConfigError, match="not in the film world's language"):
        verify(film, "a dragon flies")


def test_the_world_judges_as_the_verifier() -> None:
    """What evaluation uses is the same verdict."""
    world: World = FilmWorld()
    film = draw(_scene(("red", "star", 0.5, "moves right")), 8, 64, 64)
    assert world.verify(Film(frames=film, fps=8.0), CAPTION) == verify(film, CAPTION)
