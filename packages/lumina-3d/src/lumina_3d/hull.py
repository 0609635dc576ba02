"""The visual hull: what the views allow, as a smooth field on a grid.

At a point, the field is the least coverage that the point's projections have in the soft masks, sampled bilinearly,
after one in twelve has been left out: a single view that contradicts the others then carves nothing. Its level 0.5 is
the hull's surface, to a fraction of a pixel and of a voxel. A hull has no hollows that no silhouette shows: a bowl
comes out full; a ring's hole is kept where views see through it.

Shape legend: N views, P points, X, Y and Z voxels along the axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lumina_3d.cameras import Camera
from lumina_3d.views import Views

Floats = npt.NDArray[np.float32]

OUTVOTED_BY = 12
"""Of so many views, one is outvoted where the others disagree with it; fewer are all believed."""

_COARSE = 40
_CARVED = 0.02
_LEAST_SAMPLE = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Values on a regular grid.

    Attributes:
        values: (X, Y, Z), float32, 0 (outside) to 1.
        origin: World coordinates (3,) of the first voxel's centre.
        spacing: Between neighbouring centres, in world units.
    """

    values: Floats
    origin: npt.NDArray[np.float64]
    spacing: float


def visual_hull(views: Views, coverage: Floats, *, resolution: int) -> Field | None:
    """The hull of an object's silhouettes.

    Args:
        views: For their cameras and size.
        coverage: Soft masks (N, H, W), 0-1.
        resolution: Voxels along the longest side of the object.

    Returns:
        The field on a grid around the object, with 0 at its border; None where the silhouettes have nothing in common.
    """
    centre, reach = seen_region(views.cameras, views.width, views.height)
    spacing = 2 * reach / _COARSE
    coarse = _sample(views, coverage, centre - reach + spacing / 2, spacing, (_COARSE,) * 3)
    # A part thinner than a coarse voxel may leave no more than a trace between two samples.
    inside = np.argwhere(ndimage.maximum_filter(coarse.values, size=3) > _LEAST_SAMPLE)
    if not len(inside):
        return None
    low = coarse.origin + (inside.min(axis=0) - 1) * spacing
    high = coarse.origin + (inside.max(axis=0) + 1) * spacing
    for _ in range(2):  # the first fine grid tells the bounds better than the coarse one
        fine = float((high - low).max()) / resolution
        shape = tuple(int(count) for count in np.ceil((high - low) / fine) + 3)
        field = _sample(views, coverage, low - fine, fine, shape)
        inside = np.argwhere(field.values > 0.5)
        if not len(inside):
            return None
        low = field.origin + (inside.min(axis=0) - 1) * fine
        high = field.origin + (inside.max(axis=0) + 1) * fine
    values = field.values
    for axis in range(3):
        np.moveaxis(values, axis, 0)[[0, -1]] = 0
    return field


def seen_region(cameras: Sequence[Camera], width: int, height: int) -> tuple[npt.NDArray[np.float64], float]:
    """The point (3,) nearest to all cameras' axes, and half the side of a cube around it that all of them see whole.

    Args:
        cameras: Two or more that are not parallel.
        width: Of the pictures, in pixels.
        height: Of the pictures, in pixels.

    Returns:
        Centre and half side, in world units.
    """
    axes = np.stack([camera.matrix[:3, 2] for camera in cameras])
    positions = np.stack([camera.position for camera in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    centre = np.linalg.lstsq(across.sum(axis=0), (across @ positions[:, :, None]).sum(axis=0)[:, 0], rcond=None)[0]
    slopes = [min(width, height) / 2 / camera.intrinsics(width, height)[0, 0] for camera in cameras]
    return centre, float(min(np.linalg.norm(positions - centre, axis=1) * slopes))


def _sample(
    views: Views, coverage: Floats, origin: npt.NDArray[np.float64], spacing: float, shape: tuple[int, ...]
) -> Field:
    """The field on a grid; a voxel that enough views have carved is not looked up in the others."""
    points = origin + spacing * np.indices(shape).reshape(3, -1).T
    least = np.ones((1 + len(coverage) // OUTVOTED_BY, len(points)), dtype=np.float32)  # in ascending order
    left = np.arange(len(points))
    for camera, mask in zip(views.cameras, coverage, strict=True):
        pixels, depths = camera.project(points[left], views.width, views.height)
        seen = ndimage.map_coordinates(mask, pixels.T[::-1] - 0.5, order=1, mode="constant")
        least[:, left] = np.sort(np.vstack([least[:, left], np.where(depths > 0, seen, 0)]), axis=0)[:-1]
        left = left[least[-1, left] > _CARVED]
    return Field(values=least[-1].reshape(shape), origin=origin, spacing=spacing)
