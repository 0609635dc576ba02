"""What belongs to the object in each picture: soft masks, and the object's own colours without the background's.

A pixel on the object's edge mixes the background's colour b and the object's colour c. Its coverage is the projection
on the line between them, clip((p - b)·(c - b) / |c - b|², 0, 1), with c taken from the nearest pixel well inside.

Shape legend: N views, H and W height and width in pixels.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lumina_3d.views import EmptyForegroundError, Views

Floats = npt.NDArray[np.float32]

LEAST_CONTRAST = 36.0
"""Pixels nearer than this to the background's colour (RGB distance) do not make an object."""
LEAST_PIXELS = 6
"""A view with fewer pixels of an object shows none."""

_RIM = 2
_EDGE = 2
_SQUARE = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class Foreground:
    """The object in its views.

    Attributes:
        coverage: Share of each pixel that the object covers (N, H, W), float32, 0-1.
        colors: RGB of the object (N, H, W, 3), float32, 0-255; outside and on its edge those of the nearest pixel
            inside.
        background: RGB (3,), float32, 0-255.
    """

    coverage: Floats
    colors: Floats
    background: Floats


def find_foreground(views: Views) -> Foreground:
    """Part the object from the plain background that the pictures' borders show.

    Args:
        views: All of one object before one background.

    Returns:
        Masks and colours.

    Raises:
        EmptyForegroundError: A view shows nothing but background.
    """
    images = views.images.astype(np.float32)
    background = background_color(images)
    parts = [_separate(image, background) for image in images]
    empty = [number for number, (_, _, count) in enumerate(parts) if count < LEAST_PIXELS]
    if empty:
        raise EmptyForegroundError(
            f"expected an object in every view, found nothing before the background in view "
            f"{', '.join(map(str, empty))} of {len(images)}; another seed or prompt may help",
            views,
        )
    return Foreground(
        coverage=np.stack([coverage for coverage, _, _ in parts]),
        colors=np.stack([colors for _, colors, _ in parts]),
        background=background,
    )


def background_color(images: Floats) -> Floats:
    """The median colour (3,) of the borders of pictures (N, H, W, 3)."""
    rim = np.ones(images.shape[1:3], dtype=bool)
    rim[_RIM:-_RIM, _RIM:-_RIM] = False
    return np.asarray(np.median(images[:, rim].reshape(-1, 3), axis=0), dtype=np.float32)


def _separate(image: Floats, background: Floats) -> tuple[Floats, Floats, int]:
    """Coverage (H, W) and colours (H, W, 3) of one picture (H, W, 3), and the number of pixels that show an object."""
    offset = image - background
    contrast = np.linalg.norm(offset, axis=-1)
    mask = ndimage.binary_opening(contrast > LEAST_CONTRAST, structure=np.ones((2, 2), dtype=bool))
    if not mask.any():
        return np.zeros_like(contrast), image, 0
    inside = ndimage.binary_erosion(mask, structure=_SQUARE, iterations=_EDGE)
    # What is too thin to have an inside is as pure as it gets along its ridge.
    ridge = mask & (contrast >= 0.95 * ndimage.maximum_filter(contrast, size=2 * _EDGE + 1))
    inside |= ridge & ~ndimage.binary_dilation(inside, structure=_SQUARE, iterations=2 * _EDGE)
    rows, columns = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    colors = image[rows, columns]
    direction = colors - background
    coverage = np.clip((offset * direction).sum(-1) / np.square(direction).sum(-1), 0, 1)
    near = ndimage.binary_dilation(mask, structure=_SQUARE)
    return np.where(inside, 1, np.where(near, coverage, 0)).astype(np.float32), colors, int(mask.sum())
