"""How well an object agrees with its views: it is rendered into each of them and compared."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lumina_3d.foreground import find_foreground
from lumina_3d.rendering import render
from lumina_3d.views import Views

if TYPE_CHECKING:
    import trimesh

LEAST_AGREEMENT = 0.8
"""Views whose silhouettes overlap with the object's by less than this on average do not show one object."""

_COVERED = 0.95


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Agreement by view.

    Attributes:
        silhouette_iou: Soft intersection over union of the masks, 0-1.
        color_error: Mean absolute difference of RGB, in levels of 255, over pixels that both cover whole; NaN where
            there is none.
    """

    silhouette_iou: tuple[float, ...]
    color_error: tuple[float, ...]

    @property
    def mean_silhouette_iou(self) -> float:
        """Over all views."""
        return float(np.mean(self.silhouette_iou))

    @property
    def mean_color_error(self) -> float:
        """Over the views where there is any."""
        return float(np.nanmean(self.color_error))


def consistency(views: Views, mesh: "trimesh.Trimesh") -> Consistency:
    """Reproject an object into its views.

    Args:
        views: With cameras in the mesh's coordinates, as :class:`Object3D` keeps them.
        mesh: With the views' light in its colours.

    Returns:
        Agreement of each view. Views that contradict one another cannot all agree with one object.

    Raises:
        EmptyForegroundError: A view shows no object.
    """
    foreground = find_foreground(views)
    black = mesh.copy()
    black.visual.face_colors = (0, 0, 0, 255)
    shown, shadow = (
        render(item, views.cameras, width=views.width, height=views.height, light=None).images.astype(np.float32)
        for item in (mesh, black)
    )
    covered = 1 - shadow[..., 0] / 255
    errors = np.abs(shown - views.images).mean(axis=-1)
    both = np.minimum(covered, foreground.coverage) > _COVERED
    return Consistency(
        silhouette_iou=tuple(soft_iou(a, b) for a, b in zip(covered, foreground.coverage, strict=True)),
        color_error=tuple(
            float(error[where].mean()) if where.any() else float("nan")
            for error, where in zip(errors, both, strict=True)
        ),
    )


def soft_iou(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Sum of minima over sum of maxima of two arrays of coverages; 1 where both are empty."""
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union else 1.0
