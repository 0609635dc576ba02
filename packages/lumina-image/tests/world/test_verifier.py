"""The verifier: calibrated on the world's own pictures, clean and distorted, and sharp on single facts."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from flagdit_core.errors import ShapeError
from flagdit_core.shapes import Shape, look
from flagdit_core.world import World
from lumina_image.world import (
    Claims,
    ObjectClaim,
    PictureWorld,
    Scene,
    calibrate,
    draw,
    is_held_out,
    parse,
    verify,
)

Picture = npt.NDArray[np.uint8]


def _to_uint8(picture: npt.NDArray[np.float64]) -> Picture:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _jpeg(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=60)
    return np.array(Image.open(file))


def _blur(picture: Picture) -> Picture:
    return _to_uint8(ndimage.gaussian_filter(picture.astype(float), (0.7, 0.7, 0)))


def _noise(picture: Picture) -> Picture:
    generator = np.random.default_rng(int(picture.sum()))
    return _to_uint8(picture + generator.normal(0, 6, picture.shape))


def _specks(picture: Picture) -> Picture:
    generator = np.random.default_rng(int(picture.sum()))
    speckled = picture.copy()
    for row, column in generator.integers(0, min(picture.shape[:2]) - 2, (6, 2)):
        speckled[row : row + 2, column : column + 2] = generator.integers(0, 256, 3)
    return speckled


def _scene(*objects: tuple[str, str, float, float], background: str = "white", radius: float = 0.2) -> Scene:
    items = tuple(Shape(shape=shape, color=color, radius=radius, x=x, y=y) for color, shape, x, y in objects)
    claims = Claims(objects=tuple(ObjectClaim(shape=item.shape, color=item.color) for item in items))
    return Scene(background=background, objects=items, claims=claims)


@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (96, 96), (128, 128), (192, 128), (96, 192), (256, 128), (320, 256)]
)
def test_calibration_on_clean_pictures(width: int, height: int) -> None:
    """At least 98 % of right captions pass; at most 5 % with one fact swapped or one object unasked for."""
    rates = calibrate(60, width=width, height=height, seed=1)
    assert rates["right"]["all"] >= 0.98
    assert rates["swapped"]["all"] <= 0.05
    assert rates["extra"]["all"] <= 0.05


@pytest.mark.parametrize("distort", [_jpeg, _blur, _noise, _specks])
def test_calibration_on_distorted_pictures(distort: Callable[[Picture], Picture]) -> None:
    """JPEG at quality 60, blur, noise and specks leave 97 % of right captions passing and 5 % of wrong ones."""
    rates = calibrate(60, seed=2, distort=distort)
    assert rates["right"]["all"] >= 0.97
    assert rates["swapped"]["all"] <= 0.05
    assert rates["extra"]["all"] <= 0.05


@pytest.mark.parametrize(
    ("caption", "failing"),
    [
        ("a medium red circle on the left on a white background", set()),
        ("a medium blue circle on the left on a white background", {"color"}),
        ("a medium red square on the left on a white background", {"shape"}),
        ("a large red circle on the left on a white background", {"size"}),
        ("a medium red circle in the top left corner on a white background", {"place"}),
        ("a medium red circle on the left on a gray background", {"background"}),
        ("a red circle left of a blue square", {"count", "shape", "color", "relation"}),
    ],
)
def test_only_the_wrong_fact_fails(caption: str, failing: set[str]) -> None:
    """Each kind of check fails by itself, and what a caption does not say is not checked."""
    verdict = verify(draw(_scene(("red", "circle", 0.25, 0.5)), 96, 96), caption)
    assert {check.kind for check in verdict.checks if not check.passed} == failing
    assert verdict.passed == (not failing)


def test_relations_are_seen_between_the_right_objects() -> None:
    """With the colours exchanged the relation is turned round, and the verdict with it."""
    picture = draw(_scene(("red", "circle", 0.25, 0.5), ("blue", "square", 0.75, 0.55)), 96, 96)
    assert verify(picture, "a red circle left of a blue square").passed
    assert verify(picture, "a blue square right of a red circle").passed
    assert not verify(picture, "a blue square left of a red circle").passed
    assert not verify(picture, "a blue circle left of a red square").passed
    assert not verify(picture, "a red circle above a blue square").passed


def test_touching_objects_are_parted_by_color() -> None:
    """Two squares that share an edge are two objects, and one colour mixing into another makes no third."""
    picture = draw(_scene(("red", "square", 0.3, 0.5), ("orange", "square", 0.7, 0.5), background="yellow"), 96, 96)
    assert verify(picture, "a red square left of an orange square on a yellow background").passed


def test_colors_outside_the_vocabulary_have_no_name() -> None:
    """A brown object on a beige ground is seen, but not taken for any known colour."""
    picture = np.full((96, 96, 3), (200, 170, 120), dtype=np.uint8)
    picture[30:60, 30:60] = (90, 60, 20)
    seen = look(picture)
    assert seen.background == "unclear"
    assert [item.color for item in seen.objects] == ["unclear"]


@pytest.mark.parametrize("level", [0, 248])
def test_an_empty_picture_fails_every_object_check(level: int) -> None:
    """Nothing is found in nothing."""
    verdict = verify(np.full((64, 80, 3), level, dtype=np.uint8), "a large red circle in the center")
    assert not any(check.passed for check in verdict.checks)


def test_noise_is_no_picture() -> None:
    """White noise passes no caption and crashes nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert not verify(noise, "a red circle").passed


def test_pillow_images_and_arrays_are_judged_alike() -> None:
    """Both forms of the same picture give the same observation."""
    picture = draw(_scene(("red", "star", 0.5, 0.5)), 96, 64)
    assert look(picture) == look(Image.fromarray(picture))


@pytest.mark.parametrize(
    "picture", [np.zeros((64, 64, 3)), np.zeros((3, 64, 64), np.uint8), np.zeros((8, 64, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(picture: npt.NDArray[np.generic]) -> None:
    """Floats, channels first and tiny pictures raise our error."""
    with pytest.raises(ShapeError, match="expected"):
        look(picture)


def test_the_world_gives_held_out_prompts_that_it_can_judge() -> None:
    """Prompts repeat by seed, fewer begin more, categories are balanced, and nothing was trained on."""
    world: World = PictureWorld(aspect=1.5)
    prompts = world.prompts(30, seed=4)
    assert prompts[:10] == world.prompts(10, seed=4)
    assert prompts != world.prompts(30, seed=5)
    assert {p.category: sum(q.category == p.category for q in prompts) for p in prompts} == {
        "one object": 10,
        "two objects": 10,
        "three objects": 10,
    }
    for prompt in prompts:
        claims = parse(prompt.text)
        assert is_held_out(claims)
        assert claims.category == prompt.category
        assert not world.verify(np.zeros((64, 96, 3), dtype=np.uint8), prompt.text).passed
