"""How an arrangement looks: the share of each pixel that each of its objects covers."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lumina_3d.cameras import Camera
from lumina_3d.rendering import render
from lumina_3d.world.geometry import Arrangement, Solid, turning
from lumina_3d.world.primitives import primitive

if TYPE_CHECKING:
    import trimesh

Floats = npt.NDArray[np.float32]


def template(arrangement: Arrangement, cameras: tuple[Camera, ...], width: int, height: int) -> Floats:
    """The coverage of each object, those in front hiding those behind.

    Args:
        arrangement: One or two objects.
        cameras: Where from.
        width: Of the views, in pixels.
        height: Of the views, in pixels.

    Returns:
        Coverage (objects, views, height, width), float32, 0-1.
    """
    solids = arrangement.solids
    alone = [
        silhouettes(solid, arrangement.turn, cameras, width, height).astype(np.float32) / np.float32(255)
        for solid in solids
    ]
    if len(solids) == 1:
        return alone[0][None]
    centres = np.array([solid.centre for solid in solids]) @ turning(arrangement.turn).T
    positions = np.stack([camera.position for camera in cameras])
    distances = np.linalg.norm(positions[:, None] - centres, axis=-1)
    first_in_front = (distances[:, 0] < distances[:, 1])[:, None, None]
    first, second = alone
    left_of_first = np.where(first_in_front, 1, 1 - second)
    left_of_second = np.where(first_in_front, 1 - first, 1)
    return np.stack([first * left_of_first, second * left_of_second]).astype(np.float32)


@lru_cache(maxsize=2048)
def silhouettes(
    solid: Solid, turn: float, cameras: tuple[Camera, ...], width: int, height: int
) -> npt.NDArray[np.uint8]:
    """A solid's coverage alone (N, H, W), 0-255; do not write to it."""
    # The solid of radius 1, seen by cameras that stand to it as the given ones to the solid in its place.
    turned_back = turning(turn).T
    moved = []
    for camera in cameras:
        pose = camera.matrix
        pose[:3] = turned_back @ pose[:3]
        pose[:3, 3] = (pose[:3, 3] - solid.centre) / solid.radius
        moved.append(Camera.at(pose, field_of_view=camera.field_of_view))
    white = _white(solid.shape)
    views = render(white, moved, width=width, height=height, light=None, background=(0, 0, 0), supersampling=2)
    return np.ascontiguousarray(views.images[..., 0])


@cache
def _white(shape: str) -> "trimesh.Trimesh":
    """A white solid of radius 1, whose rays are prepared once."""
    mesh = primitive(shape).copy()
    mesh.visual.face_colors = (255, 255, 255, 255)
    return mesh
