"""From views with known cameras to a coloured, watertight mesh."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from flagdit_core.errors import ConfigError
from lumina_3d.baking import bake_colors
from lumina_3d.foreground import find_foreground
from lumina_3d.hull import Field, visual_hull
from lumina_3d.views import EmptyForegroundError, Object3D, Views

if TYPE_CHECKING:
    import trimesh

LEAST_VIEWS = 3
RESOLUTIONS = (16, 512)
"""The least and the most voxels along the longest side."""
LEAST_PART = 0.01
"""Parts with less of the largest part's volume are debris."""

_SURFACE = 0.5
_OFF_SURFACE = 0.002


def reconstruct(views: Views, *, resolution: int = 64) -> Object3D:
    """The object that its views show: their visual hull, meshed by marching cubes and coloured from the views.

    Args:
        views: Three or more, around one object before a plain background.
        resolution: Voxels along the object's longest side, 16 to 512. More than two a pixel adds faces, no detail.

    Returns:
        The object, standing on y = 0, 1 metre at its longest.

    Raises:
        ConfigError: There are fewer than three views, or the resolution is out of range.
        EmptyForegroundError: A view shows no object, or the silhouettes have nothing in common; it carries the views.

    Example:
        >>> import trimesh
        >>> from lumina_3d.cameras import orbit
        >>> from lumina_3d.rendering import render
        >>> views = render(trimesh.creation.icosphere(radius=0.4), orbit(8), width=64, height=64)
        >>> reconstruct(views, resolution=32).mesh.is_watertight
        True
    """
    if len(views.images) < LEAST_VIEWS:
        raise ConfigError(f"expected {LEAST_VIEWS} views or more to make a mesh of, got {len(views.images)}")
    if not RESOLUTIONS[0] <= resolution <= RESOLUTIONS[1]:
        raise ConfigError(f"expected a mesh resolution from {RESOLUTIONS[0]} to {RESOLUTIONS[1]}, got {resolution}")
    foreground = find_foreground(views)
    field = visual_hull(views, foreground.coverage, resolution=resolution)
    if field is None:
        raise EmptyForegroundError(
            "expected views that agree on one object, but no point lies inside all silhouettes; "
            "another seed or more steps may help",
            views,
        )
    mesh = surface(field)
    bake_colors(mesh, views, foreground.colors)
    low, high = np.asarray(mesh.bounds)
    scale = 1 / float((high - low).max())
    offset = -scale * np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    mesh.apply_scale(scale).apply_translation(offset)
    return Object3D(mesh=mesh, views=views.moved(scale=scale, offset=offset))


def surface(field: Field) -> "trimesh.Trimesh":
    """The closed surface of a field at level 0.5, without debris and inner hollows, its normals outward.

    Args:
        field: With values above 0.5 somewhere, and none at the grid's border.

    Returns:
        The mesh, watertight, in world coordinates.
    """
    import trimesh
    from skimage.measure import marching_cubes

    values = _well_composed(np.pad(_solid_parts(field.values), 1))
    vertices, faces, _, _ = marching_cubes(values, _SURFACE, gradient_direction="ascent")
    mesh = trimesh.Trimesh(vertices=field.origin + field.spacing * (vertices - 1), faces=faces)
    assert mesh.is_watertight
    if mesh.volume < 0:
        mesh.invert()
    return mesh


def _solid_parts(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The field without debris and hollows."""
    labels, _ = ndimage.label(values > _SURFACE, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= LEAST_PART * sizes.max()
    solid = kept[labels]
    cleaned = np.where((labels > 0) & ~solid, 0, values)
    cleaned[ndimage.binary_fill_holes(solid) & ~solid] = 1
    return cleaned


def _well_composed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The field with just enough filled that its surface is closed, whatever its values were.

    Marching cubes may leave a hole where, of four voxels in a square, two opposite ones are inside and the other two
    outside; there the fuller one of the two is filled. Nor may a value be so near to the level that two corners of a
    face coincide.
    """
    near = np.abs(values - _SURFACE) < _OFF_SURFACE
    values = np.where(near, np.where(values > _SURFACE, _SURFACE + _OFF_SURFACE, _SURFACE - _OFF_SURFACE), values)
    changed = True
    while changed:
        changed = False
        for plane in (values, values.transpose(1, 2, 0), values.transpose(2, 0, 1)):
            corners = [plane[:-1, :-1], plane[1:, 1:], plane[:-1, 1:], plane[1:, :-1]]
            for first, second, third, fourth in (corners, corners[2:] + corners[:2]):
                inside = np.minimum(first, second) > _SURFACE
                critical = inside & (np.maximum(third, fourth) < _SURFACE)
                for filled, other in ((third, fourth), (fourth, third)):
                    where = critical & (filled >= other) & (filled < _SURFACE) & (other < _SURFACE)
                    filled[where] = _SURFACE + _OFF_SURFACE
                changed |= bool(critical.any())
    return values
