"""Cameras: which way they look, what they see where, and the file that keeps them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from flagdit_core.errors import CodecError, ConfigError
from lumina_3d import Camera, orbit
from lumina_3d.cameras import FRAME
from lumina_3d.transforms import read_transforms, write_transforms

AXES = np.eye(3)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "backward"),
    [(0, 0, (0, 0, 1)), (90, 0, (1, 0, 0)), (180, 0, (0, 0, -1)), (0, 90, (0, 1, 0))],
)
def test_azimuth_and_elevation(azimuth: float, elevation: float, backward: tuple[float, ...]) -> None:
    """The front is seen from +Z, azimuth 90 from +X, elevation 90 from above; both angles can be read back."""
    camera = Camera.around(azimuth=azimuth, elevation=elevation, distance=2)
    np.testing.assert_allclose(camera.position, 2 * np.array(backward), atol=1e-12)
    assert camera.elevation == pytest.approx(elevation)
    if elevation < 90:
        assert camera.azimuth == pytest.approx(azimuth)


def test_what_is_seen_where() -> None:
    """From the front, +X is right and +Y is up; the target is in the middle; the frame's edge is the picture's."""
    camera = Camera.around(azimuth=0, elevation=0)
    points, depths = camera.project(np.stack([np.zeros(3), FRAME * AXES[0], FRAME * AXES[1]]), 64, 32)
    np.testing.assert_allclose(points, [[32, 16], [64, 16], [32, -16]], atol=1e-9)
    np.testing.assert_allclose(depths, camera.position[2])


def test_rays_and_projection_are_inverse() -> None:
    """A point on the ray through a pixel is projected back onto that pixel, for any camera."""
    generator = np.random.default_rng(0)
    for camera in orbit(7, elevations=(-30, 10, 75), distance=3, field_of_view=40):
        pixels = generator.uniform(0, 48, (20, 2))
        points = camera.position + 2.5 * camera.directions(pixels, 48, 64)
        np.testing.assert_allclose(camera.project(points, 48, 64)[0], pixels, atol=1e-9)


def test_moved_cameras_see_moved_points_in_the_same_place() -> None:
    """Scaling and shifting world and camera together changes no picture."""
    camera = Camera.around(azimuth=33, elevation=21, target=(0.1, 0.2, 0.3))
    points = np.random.default_rng(1).normal(size=(10, 3))
    moved = camera.moved(scale=0.4, offset=(1, 2, 3))
    expected, _ = camera.project(points, 64, 64)
    np.testing.assert_allclose(moved.project(0.4 * points + np.array([1, 2, 3]), 64, 64)[0], expected, atol=1e-9)


def test_orbit_takes_elevations_in_turn() -> None:
    """Azimuths are evenly spread from the front, elevations alternate, any number of views goes."""
    cameras = orbit(5, elevations=(0, 60))
    assert [round(camera.azimuth) for camera in cameras] == [0, 72, 144, 216, 288]
    assert [round(camera.elevation) for camera in cameras] == [0, 60, 0, 60, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: orbit(0),
        lambda: orbit(3, elevations=()),
        lambda: Camera.around(azimuth=0, elevation=91),
        lambda: Camera.around(azimuth=0, elevation=0, distance=0),
        lambda: Camera.around(azimuth=0, elevation=0, field_of_view=180),
        lambda: Camera(pose=((2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0), (0, 0, 0, 1))),
        lambda: Camera(pose=((1, 0, 0, math.nan), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))),
    ],
)
def test_impossible_cameras_are_refused(make: object) -> None:
    """Each argument out of range raises our error."""
    assert callable(make)
    with pytest.raises(ConfigError, match="expected"):
        make()


def test_transforms_round_trip(tmp_path: Path) -> None:
    """Cameras, names and extra values come back, and the file has the fields that NeRF tools read."""
    cameras, path = orbit(4), tmp_path / "transforms.json"
    write_transforms(path, cameras, ["a.png", "b.png", "c.png", "d.png"], width=64, height=48, extra={"seed": 7})
    again, files, content = read_transforms(path)
    assert files == ["a.png", "b.png", "c.png", "d.png"]
    assert content["seed"] == 7
    for expected, camera in zip(cameras, again, strict=True):
        np.testing.assert_allclose(camera.matrix, expected.matrix)
        assert camera.field_of_view == pytest.approx(expected.field_of_view)
    assert content["camera_angle_x"] == pytest.approx(2 * math.atan(64 / 2 / content["fl_x"]))
    assert np.shape(content["frames"][0]["transform_matrix"]) == (4, 4)


def test_cameras_of_two_kinds_do_not_fit_into_one_file(tmp_path: Path) -> None:
    """A file that would say something false is not written."""
    cameras = (orbit(1)[0], orbit(1, field_of_view=30)[0])
    with pytest.raises(ConfigError, match="field of view"):
        write_transforms(tmp_path / "transforms.json", cameras, ["a", "b"], width=8, height=8, extra={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["no json", "[]", "{}", json.dumps({"camera_angle_x": 1, "frames": [{}]})])
def test_other_files_are_named(tmp_path: Path, content: str) -> None:
    """A missing and a foreign file raise one line that names them."""
    path = tmp_path / "transforms.json"
    with pytest.raises(CodecError, match="there is no file"):
        read_transforms(path)
    path.write_text(content)
    with pytest.raises(CodecError, match=r"is no transforms\.json"):
        read_transforms(path)
