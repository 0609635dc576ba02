"""Shapes that are turned and faded, as films need them; upright ones are tested with the picture world."""

import numpy as np
import pytest

from flagdit_core.shapes import Shape, draw_shapes, look
from flagdit_core.shapes.drawing import SYMMETRY


@pytest.mark.parametrize("shape", [shape for shape, angle in SYMMETRY.items() if angle])
def test_turned_shapes_are_seen_as_they_are(shape):
    """Shape, place, radius and angle of a turned shape are found, up to its symmetry."""
    for angle in (0, 20, 40, 170):
        item = Shape(shape=shape, color="red", radius=0.25, x=0.45, y=0.55, angle=angle)
        (seen,) = look(draw_shapes("white", [item], 96, 96), angle_step=10).objects
        assert (seen.shape, seen.color) == (shape, "red")
        off = (seen.angle - angle) % SYMMETRY[shape]
        assert min(off, SYMMETRY[shape] - off) <= 10
        assert np.allclose((seen.x, seen.y, seen.radius), (item.x, item.y, item.radius), atol=0.02)


def test_a_quarter_turn_is_clockwise():
    """A triangle that points up points to the right after 90 degrees."""
    item = Shape(shape="triangle", color="red", radius=0.4, x=0.5, y=0.5, angle=90)
    picture = draw_shapes("white", [item], 100, 100)
    inside = picture[..., 1] < 128
    heights = inside.sum(axis=0)[inside.any(axis=0)]
    assert heights[2] > heights[len(heights) // 2] > heights[-3]


def test_opacity_mixes_with_the_background():
    """Half of a shape is the mean of its colour and the background; none of it is the background."""
    whole, half, none = (
        draw_shapes("black", [Shape(shape="square", color="red", radius=0.3, x=0.5, y=0.5, opacity=opacity)], 32, 32)
        for opacity in (1.0, 0.5, 0.0)
    )
    empty = draw_shapes("black", [], 32, 32)
    assert np.array_equal(none, empty)
    assert np.abs(half[16, 16].astype(int) - (whole[16, 16].astype(int) + empty[16, 16]) / 2).max() <= 1.5
