"""From views to an object: shape, colours, place and size, and what is said where it cannot be done."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from flagdit_core.errors import ConfigError, ShapeError
from lumina_3d import EmptyForegroundError, Object3D, Views, consistency, orbit, reconstruct, render
from lumina_3d.foreground import find_foreground
from lumina_3d.hull import Field
from lumina_3d.reconstruction import surface
from lumina_3d.world import Arrangement, scene_of, show, volume_iou
from lumina_3d.world.primitives import primitive
from lumina_3d.world.vocabulary import SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_every_primitive_comes_back(shape: str) -> None:
    """From twelve views of 64 pixels, each solid's volume is met to 0.9, watertight, its normals outward."""
    views = show(scene_of(f"a large red {shape}"), orbit(12), 64)
    item = reconstruct(views, resolution=40)
    assert item.mesh.is_watertight
    assert item.mesh.volume > 0
    assert volume_iou(item.mesh, Arrangement(shapes=(shape,), radii=(0.4,))) > 0.9
    assert consistency(item.views, item.mesh).mean_silhouette_iou > 0.95


def test_size_place_and_up_axis(item: Object3D) -> None:
    """The object stands on y = 0, centred, 1 metre at its longest, with the cone (the smaller part) on top."""
    low, high = item.mesh.bounds
    assert (high - low).max() == pytest.approx(1)
    assert low[1] == pytest.approx(0)
    np.testing.assert_allclose((low + high)[[0, 2]], 0, atol=1e-9)
    width = [
        np.ptp(item.mesh.vertices[where, 0])
        for where in (item.mesh.vertices[:, 1] > 0.8, item.mesh.vertices[:, 1] < 0.2)
    ]
    assert width[0] < 0.5 * width[1]


def test_colors_come_from_the_views(item: Object3D) -> None:
    """The upper part is blue all around and the lower one red, bottom included, which no view sees."""
    colors, heights = item.mesh.visual.vertex_colors[:, :3].astype(int), item.mesh.vertices[:, 1]
    upper, lower = colors[heights > 0.65], colors[heights < 0.5]
    assert (upper[:, 2] > 2 * upper[:, 0]).mean() > 0.99
    assert (lower[:, 0] > 2 * lower[:, 2]).mean() > 0.99


def test_a_ring_keeps_its_hole() -> None:
    """The hull of a lying torus has the torus's topology (Euler number 0), not a disc's."""
    item = reconstruct(show(scene_of("a large yellow torus"), orbit(12), 64), resolution=48)
    assert item.mesh.euler_number == 0


def test_two_objects_are_two_parts() -> None:
    """Objects side by side stay apart, and both are kept though one is much smaller."""
    item = reconstruct(show(scene_of("a small green sphere beside a large yellow cube"), orbit(12), 64), resolution=48)
    assert item.mesh.body_count == 2


def test_more_pixels_give_a_better_mesh() -> None:
    """A sphere's volume is met better from 96 pixels than from 24."""
    scene, ball = scene_of("a large pink sphere"), Arrangement(shapes=("sphere",), radii=(0.4,))
    coarse, fine = (
        volume_iou(reconstruct(show(scene, orbit(12), size), resolution=40).mesh, ball) for size in (24, 96)
    )
    assert fine > coarse
    assert fine > 0.96


def test_any_cameras_around_any_place() -> None:
    """Views that other tools took, of an object of another size elsewhere, with another lens, work as well."""
    ball = primitive("sphere").copy().apply_scale(30).apply_translation((100, 50, -20))
    cameras = [
        camera.moved(scale=70.0, offset=(100, 50, -20))
        for camera in orbit(9, elevations=(0, 40, 70), distance=4, field_of_view=30)
    ]
    item = reconstruct(render(ball, cameras, width=96, height=64))
    assert volume_iou(item.mesh, Arrangement(shapes=("sphere",), radii=(0.4,))) > 0.94


def test_three_views_are_enough_and_two_are_not(views: Views) -> None:
    """Three views give a watertight mesh; fewer raise our error."""
    three = show(scene_of("a large red sphere"), orbit(3), 64)
    assert reconstruct(three, resolution=32).mesh.is_watertight
    two = Views(images=views.images[:2], cameras=views.cameras[:2])
    with pytest.raises(ConfigError, match="3 views or more"):
        reconstruct(two)
    with pytest.raises(ConfigError, match="resolution"):
        reconstruct(views, resolution=8)


def test_empty_views_say_so_and_are_kept(views: Views) -> None:
    """One blank view, or views that contradict one another, raise an error that carries them."""
    blank = views.images.copy()
    blank[4] = 248
    with pytest.raises(EmptyForegroundError, match="in view 4 of 12") as caught:
        reconstruct(replace(views, images=blank))
    assert np.array_equal(caught.value.views.images, blank)
    apart = np.full_like(views.images, 248)
    for number, image in enumerate(apart):
        left = 4 if number % 2 else 50
        image[4 + 3 * number : 12 + 3 * number, left : left + 8] = (200, 30, 30)
    with pytest.raises(EmptyForegroundError, match="agree"):
        reconstruct(replace(views, images=apart))


def test_one_view_of_twelve_is_outvoted(views: Views) -> None:
    """A single view of something much smaller takes nothing away; the same view among six is believed."""
    odd = views.images.copy()
    odd[2] = show(scene_of("a small red sphere"), orbit(12), 64).images[2]
    truth = Arrangement(shapes=("cone", "cube"), radii=(0.31, 0.4), relation="on")
    item = reconstruct(replace(views, images=odd), resolution=32)
    assert volume_iou(item.mesh, truth) > 0.9
    assert np.argmin(consistency(item.views, item.mesh).silhouette_iou) == 2
    six = Views(images=odd[::2], cameras=views.cameras[::2])
    assert volume_iou(reconstruct(six, resolution=32).mesh, truth) < 0.6


def test_specks_make_no_parts(views: Views) -> None:
    """Single wrong pixels in every view add nothing to the mesh."""
    speckled = views.images.copy()
    generator = np.random.default_rng(0)
    for image in speckled:
        image[generator.integers(0, 64, 6), generator.integers(0, 64, 6)] = (0, 200, 0)
    mesh = reconstruct(replace(views, images=speckled), resolution=48).mesh
    assert mesh.body_count == 1
    assert volume_iou(mesh, Arrangement(shapes=("cone", "cube"), radii=(0.31, 0.4), relation="on")) > 0.9


def test_coverage_is_exact_to_two_hundredths(views: Views) -> None:
    """The soft masks' area is that of the true coverage."""
    scene = scene_of("a large green cylinder")
    seen = find_foreground(show(scene, orbit(6), 64)).coverage.sum(axis=(1, 2))
    black = primitive("cylinder").copy().apply_scale(0.4)
    black.visual.face_colors = (0, 0, 0, 255)
    truth = 1 - render(black, orbit(6), width=64, height=64, light=None).images[..., 0] / 255
    np.testing.assert_allclose(seen, truth.sum(axis=(1, 2)), rtol=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_surfaces_of_any_field_are_closed(seed: int) -> None:
    """Random fields, many values exactly at the level, give watertight meshes of positive volume without hollows."""
    generator = np.random.default_rng(seed)
    values = np.zeros((14, 14, 14), dtype=np.float32)
    values[1:-1, 1:-1, 1:-1] = generator.choice([0, 0.25, 0.5, 0.75, 1], (12, 12, 12))
    mesh = surface(Field(values=values, origin=np.zeros(3), spacing=0.1))
    assert mesh.is_watertight
    assert mesh.volume > 0


def test_views_that_disagree_are_inconsistent(item: Object3D) -> None:
    """Reprojection into views under wrong cameras is worse than into the right ones, in masks and in colours."""
    right = consistency(item.views, item.mesh)
    cameras = item.views.cameras
    wrong = consistency(replace(item.views, cameras=(*cameras[3:], *cameras[:3])), item.mesh)
    assert right.mean_silhouette_iou > 0.95
    assert right.mean_color_error < 4
    assert wrong.mean_silhouette_iou < 0.9
    assert wrong.mean_color_error > 2 * right.mean_color_error


@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8), np.uint8), np.zeros((3, 8, 8, 3), np.uint8)]
)
def test_what_are_no_views_is_refused(images: np.ndarray) -> None:
    """Floats, grey pictures and a wrong number of cameras raise our error."""
    with pytest.raises(ShapeError, match="expected"):
        Views(images=images, cameras=orbit(2))


def test_meshes_of_other_makers_are_closed_too() -> None:
    """An object with a real hollow comes out full and watertight, as a hull must."""
    bowl = trimesh.creation.annulus(r_min=0.2, r_max=0.4, height=0.5)
    bowl.visual.face_colors = (40, 160, 60, 255)
    item = reconstruct(render(bowl, orbit(12), width=64, height=64), resolution=32)
    assert item.mesh.is_watertight
