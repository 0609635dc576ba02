"""Which colour of the vocabulary covers each pixel of the views, without learning.

Light scales a colour c to s·c. A pixel well inside an object belongs to the colour on whose ray from black it lies
nearest. On an edge, coverage is the projection on the line from the background to the nearest pixel well inside.

Shape legend: N views, H and W height and width in pixels, K colours that are present.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from flagdit_core.shapes.vocabulary import COLORS
from lumina_3d.foreground import LEAST_CONTRAST, background_color

Floats = npt.NDArray[np.float32]

UNCLEAR = "unclear"
"""What is found where nothing in the vocabulary fits."""
SHADES = (0.4, 1.1)
"""The factors that light scales a colour by, with some slack."""
COLOR_TOLERANCE = 48.0
"""The largest RGB distance from a shaded vocabulary colour at which a pixel has its name."""
LEAST_SHARE = 0.02
"""A colour is present if it has at least this share of all pixels well inside objects."""

_NAMES = tuple(COLORS)
_RGB = np.array([COLORS[name] for name in _NAMES], dtype=np.float32)
_SQUARE = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """The objects of some views, by colour.

    Attributes:
        colors: Names of the K colours that are present, the one with the most pixels first.
        coverage: How much of each pixel each colour covers (K, N, H, W), float32, 0-1.
    """

    colors: tuple[str, ...]
    coverage: Floats


def segment(images: npt.NDArray[np.uint8]) -> Segments:
    """The colours that objects have in the views (N, H, W, 3), and where they are."""
    pixels = images.astype(np.float32)
    offset = pixels - background_color(pixels)
    contrast = np.linalg.norm(offset, axis=-1)
    names = np.where(contrast > LEAST_CONTRAST, _nearest_names(pixels), len(_NAMES) + 1)
    cores = _cores(names, contrast)
    votes = np.array([core.sum() for core in cores])
    present = [name for name in np.argsort(-votes, kind="stable") if votes[name] > LEAST_SHARE * votes.sum()]
    if not present:
        return Segments(colors=(), coverage=np.zeros((0, *images.shape[:3]), dtype=np.float32))
    parts = [_unmix(pixels, offset, cores[name]) for name in present]
    owner = np.stack([residual for _, residual in parts]).argmin(axis=0)
    seen = ndimage.binary_dilation(contrast > LEAST_CONTRAST, structure=_SQUARE[None])
    coverage = np.stack([np.where((owner == k) & seen, part, 0) for k, (part, _) in enumerate(parts)])
    return Segments(colors=tuple((*_NAMES, UNCLEAR)[name] for name in present), coverage=coverage)


def color_names(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.str_]:
    """The vocabulary's names of colours (P, 3), 0-255, in any light; ``UNCLEAR`` where none is near."""
    return np.array((*_NAMES, UNCLEAR))[_nearest_names(colors.astype(np.float32))]


def _nearest_names(pixels: Floats) -> npt.NDArray[np.intp]:
    """Number of the nearest shaded colour for pixels (..., 3); that of ``UNCLEAR`` where none is near."""
    shade = np.clip(pixels @ _RGB.T / np.square(_RGB).sum(axis=1), *SHADES)
    distances = np.linalg.norm(pixels[..., None, :] - shade[..., None] * _RGB, axis=-1)
    nearest: npt.NDArray[np.intp] = distances.argmin(axis=-1)
    return np.where(distances.min(axis=-1) <= COLOR_TOLERANCE, nearest, len(_NAMES))


def _cores(names: npt.NDArray[np.intp], contrast: Floats) -> list[npt.NDArray[np.bool_]]:
    """The pixels (N, H, W) well inside each colour; of a part too thin to have any, the ridge."""
    flat = [ndimage.binary_erosion(names == name, structure=_SQUARE[None]) for name in range(len(_NAMES) + 1)]
    ridge = contrast >= 0.95 * ndimage.maximum_filter(contrast, size=(1, 3, 3))
    ridge &= ~ndimage.binary_dilation(np.logical_or.reduce(flat), structure=_SQUARE[None], iterations=3)
    return [core | ((names == name) & ridge) for name, core in enumerate(flat)]


def _unmix(pixels: Floats, offset: Floats, core: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Coverage (N, H, W) by one colour, and each pixel's squared distance from its line to the background."""
    coverage = np.zeros(core.shape, dtype=np.float32)
    residual = np.full(core.shape, np.inf, dtype=np.float32)
    for view in np.flatnonzero(core.any(axis=(1, 2))):
        rows, columns = ndimage.distance_transform_edt(~core[view], return_distances=False, return_indices=True)
        direction = offset[view][rows, columns]
        share = np.clip((offset[view] * direction).sum(-1) / np.square(direction).sum(-1), 0, 1)
        coverage[view] = share
        residual[view] = np.square(offset[view] - share[..., None] * direction).sum(-1)
    return coverage, residual
