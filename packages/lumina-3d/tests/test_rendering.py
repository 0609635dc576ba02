"""The renderer: geometry to a fraction of a pixel, light, colours, and the same pixels every time."""

import math

import numpy as np
import pytest
import trimesh

from flagdit_core.errors import ConfigError, ShapeError
from lumina_3d import Camera, orbit, render
from lumina_3d.rendering import Light
from lumina_3d.world.primitives import primitive

FRONT = (Camera.around(azimuth=0, elevation=0),)


def _box(center: tuple[float, float, float], color: tuple[int, int, int]) -> trimesh.Trimesh:
    box = trimesh.creation.box(extents=(0.4, 0.4, 0.4)).apply_translation(center)
    box.visual.face_colors = (*color, 255)
    return box


def test_area_of_a_sphere_is_exact_to_a_hundredth() -> None:
    """Antialiasing neither grows nor shrinks: a sphere covers what the pinhole formula says."""
    camera, radius = FRONT[0], 0.4
    views = render(primitive("sphere").copy().apply_scale(radius), FRONT, width=64, height=64)
    distance = camera.position[2]
    focal = camera.intrinsics(64, 64)[0, 0]
    expected = math.pi * (focal * radius / math.sqrt(distance**2 - radius**2)) ** 2
    black = primitive("sphere").copy().apply_scale(radius)
    black.visual.face_colors = (0, 0, 0, 255)
    covered = 1 - render(black, FRONT, width=64, height=64, light=None).images[0, ..., 0] / 255
    assert covered.sum() == pytest.approx(expected, rel=0.01)
    assert (views.images[0, :4] == 255).all()


def test_up_is_up_and_right_is_right() -> None:
    """From the front a box at +X is on the right, one at +Y in the upper half; from the back +X is on the left."""
    scene = trimesh.Scene([_box((0.6, 0, 0), (255, 0, 0)), _box((0, 0.6, 0), (0, 255, 0))])
    cameras = (*FRONT, Camera.around(azimuth=180, elevation=0))
    front, back = render(scene, cameras, width=64, height=64, light=None).images
    assert tuple(front[32, 50]) == tuple(back[32, 14]) == (255, 0, 0)
    assert tuple(front[14, 32]) == tuple(back[14, 32]) == (0, 255, 0)
    assert tuple(front[32, 14]) == (255, 255, 255)


def test_near_things_hide_far_ones() -> None:
    """Of two boxes behind one another, the one towards the camera is seen."""
    mesh = trimesh.util.concatenate([_box((0, 0, 0.5), (255, 0, 0)), _box((0, 0, -0.5), (0, 255, 0))])
    views = render(mesh, (*FRONT, Camera.around(azimuth=180, elevation=0)), width=32, height=32, light=None)
    assert [tuple(image[16, 16]) for image in views.images] == [(255, 0, 0), (0, 255, 0)]


def test_light_follows_its_formula() -> None:
    """A face towards the light keeps its colour, one away from it keeps the ambient share, one across half-way."""
    light = Light(direction=(0, 2, 0), ambient=0.5)
    np.testing.assert_allclose(light.shade(np.array([[0, 1.0, 0], [0, -1, 0], [1, 0, 0]])), [1, 0.5, 0.75])
    shown = render(_box((0, 0, 0), (200, 100, 0)), FRONT, width=32, height=32, light=light).images[0, 16, 16]
    assert shown.tolist() == [150, 75, 0]


def test_vertex_colors_are_shown() -> None:
    """A face with coloured corners has their mean."""
    mesh = trimesh.Trimesh([(-1, -1, 0), (1, -1, 0), (0, 1, 0)], [(0, 1, 2)], process=False)
    mesh.visual.vertex_colors = [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)]
    assert render(mesh, FRONT, width=32, height=32, light=None).images[0, 16, 16].tolist() == [85, 85, 85]


def test_same_pixels_every_time() -> None:
    """Rendering again, alone or among other cameras, gives equal pictures."""
    mesh, cameras = primitive("torus").copy().apply_scale(0.4), orbit(4)
    together = render(mesh, cameras, width=48, height=32).images
    alone = np.concatenate([render(mesh, (camera,), width=48, height=32).images for camera in cameras])
    assert together.shape == (4, 32, 48, 3)
    assert np.array_equal(together, alone)


def test_a_camera_inside_sees_the_inside() -> None:
    """Points behind the camera do not upset the picture."""
    camera = Camera.around(azimuth=0, elevation=0, distance=0.01, field_of_view=60)
    shown = render(_box((0, 0, 0), (200, 0, 0)), (camera,), width=16, height=16, light=None).images
    assert (shown == np.array([200, 0, 0])).all()


def test_what_cannot_be_rendered_is_refused() -> None:
    """No faces, no cameras and sizes out of range raise our errors."""
    box = _box((0, 0, 0), (200, 0, 0))
    with pytest.raises(ConfigError, match="empty"):
        render(trimesh.Trimesh(), FRONT, width=16, height=16)
    with pytest.raises(ConfigError, match="camera"):
        render(box, (), width=16, height=16)
    for width, supersampling in ((0, 4), (5000, 4), (16, 0)):
        with pytest.raises(ShapeError, match="expected"):
            render(box, FRONT, width=width, height=16, supersampling=supersampling)
