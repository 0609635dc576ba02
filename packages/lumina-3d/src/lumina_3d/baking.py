"""Colours of a mesh's vertices from the views that see them."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from lumina_3d.views import Views

if TYPE_CHECKING:
    import trimesh

FACING_POWER = 3
"""A view counts by the cosine between surface normal and line of sight to this power."""

_LIFT = 2e-3
"""How far above the surface lines of sight begin, as a fraction of the mesh's size."""


def bake_colors(mesh: "trimesh.Trimesh", views: Views, colors: npt.NDArray[np.float32]) -> None:
    """Give each vertex the mean of the colours that its unobstructed views show there, light and all.

    Args:
        mesh: Its vertex colours are replaced. A vertex that no view sees takes those of the nearest one that is seen.
        views: For their cameras and size.
        colors: RGB of the object in each view (N, H, W, 3), 0-255, continued beyond its edge.
    """
    vertices, normals = np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals)
    lift = _LIFT * float(mesh.scale)
    total, weight = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for camera, picture in zip(views.cameras, colors, strict=True):
        towards = camera.position - vertices
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        facing = (normals * towards).sum(axis=1)
        front = np.flatnonzero(facing > 0)
        front = front[~mesh.ray.intersects_any(vertices[front] + lift * normals[front], towards[front])]
        pixels, _ = camera.project(vertices[front], views.width, views.height)
        share = facing[front] ** FACING_POWER
        for channel in range(3):
            seen = ndimage.map_coordinates(picture[..., channel], pixels.T[::-1] - 0.5, order=1, mode="nearest")
            total[front, channel] += share * seen
        weight[front] += share
    known = weight > 1e-6
    baked = np.zeros((len(vertices), 4), dtype=np.uint8)
    baked[known, :3] = np.rint(total[known] / weight[known, None])
    if known.any() and not known.all():
        nearest = cKDTree(vertices[known]).query(vertices[~known])[1]
        baked[~known, :3] = baked[known, :3][nearest]
    baked[:, 3] = 255
    mesh.visual.vertex_colors = baked
