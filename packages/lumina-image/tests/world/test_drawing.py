"""Drawing: colours, sizes, positions and edges are what the scene says."""

from itertools import combinations

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.shapes import Shape
from flagdit_core.shapes.drawing import shape_mask
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES
from lumina_image.world import Claims, ObjectClaim, Scene, draw


def _scene(shape: str, *, radius: float = 0.28, x: float = 0.5, y: float = 0.5) -> Scene:
    item = Shape(shape=shape, color="red", radius=radius, x=x, y=y)
    return Scene(background="white", objects=(item,), claims=Claims(objects=(ObjectClaim(shape=shape),)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("width", "height"), [(128, 128), (192, 128), (100, 260)])
def test_box_is_where_the_scene_says(shape: str, width: int, height: int) -> None:
    """The longest side is twice the radius of the shorter side, centred on (x, y), to within two pixels."""
    picture = draw(_scene(shape, x=0.4, y=0.6, radius=0.2), width, height).astype(float)
    assert picture.shape == (height, width, 3)
    rows, columns = np.nonzero(np.abs(picture - BACKGROUNDS["white"]).sum(axis=-1) > 60)
    box = columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()
    assert max(box) == pytest.approx(0.4 * min(width, height), abs=2)
    assert (columns.max() + 1 + columns.min()) / 2 == pytest.approx(0.4 * width, abs=1)
    assert (rows.max() + 1 + rows.min()) / 2 == pytest.approx(0.6 * height, abs=1)


def test_colors_are_exact_and_edges_lie_between() -> None:
    """Inside is the object's colour, outside the background's, and a circle's rim mixes the two."""
    picture = draw(_scene("circle"), 64, 64)
    assert tuple(picture[32, 32]) == COLORS["red"]
    assert tuple(picture[0, 0]) == BACKGROUNDS["white"]
    levels = np.unique(picture[..., 1])
    assert levels.min() == COLORS["red"][1]
    assert levels.max() == BACKGROUNDS["white"][1]
    assert len(levels) > 8


def test_areas_are_those_of_the_geometry() -> None:
    """Antialiased circle and square have the area of the formula to 2 %, at a fractional position."""
    circle = np.asarray(shape_mask("circle", 20.3, 20.7, 12.4)[0]).sum() / 255
    square = np.asarray(shape_mask("square", 20.3, 20.7, 12.4)[0]).sum() / 255
    assert circle == pytest.approx(np.pi * 12.4**2, rel=0.02)
    assert square == pytest.approx(4 * 12.4**2, rel=0.02)


def test_ring_has_a_hole() -> None:
    """The middle of a ring shows the background."""
    assert tuple(draw(_scene("ring"), 64, 64)[32, 32]) == BACKGROUNDS["white"]


def test_triangle_points_up() -> None:
    """A triangle is narrow at the top and wide at the bottom."""
    red = (draw(_scene("triangle"), 64, 64)[..., 1] < 150).sum(axis=1)
    widths = red[red > 0]
    assert widths[0] < 5
    assert widths[-1] > 30


@pytest.mark.parametrize(("one", "other"), list(combinations(SHAPES, 2)))
def test_shapes_are_unlike(one: str, other: str) -> None:
    """No two shapes of equal box cover more than 85 % in common."""
    a, b = (np.asarray(draw(_scene(shape), 64, 64)[..., 1] < 150) for shape in (one, other))
    assert (a & b).sum() / (a | b).sum() < 0.85


def test_wrong_size_is_refused() -> None:
    """A picture of no width raises our error."""
    with pytest.raises(ConfigError, match="width"):
        draw(_scene("circle"), 0, 64)
