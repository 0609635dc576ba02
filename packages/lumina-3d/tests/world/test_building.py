"""Solids and scenes: meshes agree with their own rules of what is inside, and everything fits into the pictures."""

from itertools import product

import numpy as np
import pytest

from lumina_3d import orbit, render
from lumina_3d.world import Arrangement, build, scene_of, show
from lumina_3d.world.geometry import turning
from lumina_3d.world.primitives import HEIGHTS, INSIDE, primitive
from lumina_3d.world.vocabulary import SHAPES, SUPPORTS


@pytest.mark.parametrize("shape", SHAPES)
def test_meshes_and_rules_agree(shape: str) -> None:
    """A primitive is watertight, 2 at its longest, as high as stated, and contains the points that its rule says."""
    mesh = primitive(shape)
    assert mesh.is_watertight
    assert mesh.volume > 0
    np.testing.assert_allclose(mesh.bounds[1], [1, HEIGHTS[shape], 1], atol=1e-9)
    np.testing.assert_allclose(mesh.bounds[0], -mesh.bounds[1], atol=1e-9)
    points = np.random.default_rng(0).uniform(-1.1, 1.1, (4000, 3))
    assert (mesh.ray.contains_points(points) == INSIDE[shape](*points.T)).mean() > 0.995


def test_arrangements_stand_as_they_say() -> None:
    """On: the upper one's bottom is the lower one's top. Beside: first left, one ground, a gap. Both centred."""
    upper, lower = Arrangement(shapes=("torus", "cube"), radii=(0.24, 0.4), relation="on").solids
    assert upper.centre[1] - HEIGHTS["torus"] * upper.radius == pytest.approx(lower.centre[1] + lower.radius)
    left, right = Arrangement(shapes=("sphere", "torus"), radii=(0.24, 0.4), relation="beside").solids
    assert left.centre[0] + left.radius < right.centre[0] - right.radius
    assert left.centre[1] - left.radius == pytest.approx(right.centre[1] - HEIGHTS["torus"] * right.radius)
    for caption in ("a small red torus on a large blue cube", "a small red sphere beside a large blue torus"):
        np.testing.assert_allclose(build(scene_of(caption)).bounds.sum(axis=0), 0, atol=1e-9)


def test_turning() -> None:
    """A quarter turn takes +Z to +X, and an arrangement turned contains the turned points."""
    np.testing.assert_allclose(turning(90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    pair = {"shapes": ("cube", "cone"), "radii": (0.4, 0.24), "relation": "beside"}
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    inside = Arrangement(**pair).contains(points)
    assert inside.any()
    assert np.array_equal(Arrangement(**pair, turn=40.0).contains(points @ turning(40).T), inside)


def test_everything_fits_into_the_pictures() -> None:
    """The widest and the tallest scenes leave a rim of background in every view."""
    for first, relation, second in product(("cube", "sphere"), ("on", "beside"), SUPPORTS):
        views = show(scene_of(f"a large red {first} {relation} a large blue {second}"), orbit(12), 64)
        rim = np.ones((64, 64), dtype=bool)
        rim[1:-1, 1:-1] = False
        assert (views.images[:, rim] == 248).all()


def test_painted_views_are_rendered_views() -> None:
    """Painting what was rendered without colours gives the pictures of the coloured mesh, to one level."""
    scene = scene_of("a medium yellow pyramid on a large purple cylinder")
    direct = render(build(scene), orbit(3), width=48, height=48, background=(248, 248, 248)).images
    assert np.abs(show(scene, orbit(3), 48).images.astype(int) - direct).max() <= 1
