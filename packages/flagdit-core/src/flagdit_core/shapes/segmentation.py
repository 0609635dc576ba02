"""Take a picture apart into its background and its objects, without learning.

Every pixel near an object is a mixture of the background's colour b and the object's colour c. Its coverage is the
projection on the line between them, clip((p - b)·(c - b) / |c - b|², 0, 1); of several colours it belongs to the
one whose line it lies nearest to. That gives soft edges at any blur, and parts touching objects of unlike colours.

Shapes: H height, W width, K colours in the palette.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from flagdit_core.shapes.vocabulary import BACKGROUNDS

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

UNCLEAR = "unclear"
"""What is found where nothing in the vocabulary fits."""
COLOR_TOLERANCE = 65.0
"""The largest RGB distance at which a colour still has the name of the nearest vocabulary colour."""
LEAST_CONTRAST = 45.0
"""Pixels nearer than this to the background's colour (RGB distance) do not make an object."""
LEAST_AREA = 0.004
"""Anything smaller is a speck, in units of the shorter side squared (the smallest objects are about 0.02)."""
FLATNESS = 0.2
"""Interior pixels change by less than this fraction of their contrast from one pixel to the next."""

_BORDER = 2
_BIN = 24
_EDGE_REACH = 2
_NAMES = tuple(BACKGROUNDS)
_RGB = np.array([BACKGROUNDS[name] for name in _NAMES], dtype=np.float32)
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, kw_only=True)
class Region:
    """One object's pixels.

    Attributes:
        color: Name of its colour, or ``UNCLEAR``.
        coverage: How much of each pixel it covers, 0-1, in a box (h, w) around it.
        left: Column of the box in the picture.
        top: Row of the box in the picture.
        contrast: RGB distance of its colour to the background's.
    """

    color: str
    coverage: Floats
    left: int
    top: int
    contrast: float


def color_name(rgb: Floats) -> str:
    """The vocabulary's name of a colour (3,), or ``UNCLEAR`` where none is near."""
    distances = np.linalg.norm(_RGB - rgb, axis=1)
    nearest = int(distances.argmin())
    return _NAMES[nearest] if distances[nearest] <= COLOR_TOLERANCE else UNCLEAR


def background_color(picture: Floats) -> Floats:
    """The colour (3,) that most of the border of a picture (H, W, 3) has."""
    rim = np.ones(picture.shape[:2], dtype=bool)
    rim[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    border = picture[rim]
    _, bins, counts = np.unique(border // _BIN, axis=0, return_inverse=True, return_counts=True)
    mode = border[bins.ravel() == counts.argmax()].mean(axis=0)
    near = np.linalg.norm(border - mode, axis=1) < LEAST_CONTRAST
    return np.asarray(np.median(border[near], axis=0), dtype=np.float32)


def segment(picture: Floats, background: Floats) -> list[Region]:
    """The objects of a picture.

    Args:
        picture: RGB (H, W, 3), 0-255.
        background: Its background's colour (3,).

    Returns:
        One region per connected area of one colour, the largest first; specks and thin fringes are left out.
    """
    palette = _palette(picture, background)
    if not len(palette):
        return []
    coverage_KHW, nearest_HW = _unmix(picture, background, palette)
    least_area = LEAST_AREA * min(picture.shape[:2]) ** 2
    solids: list[tuple[int, Mask]] = []
    for number, coverage_HW in enumerate(coverage_KHW):
        labels, count = ndimage.label((nearest_HW == number) & (coverage_HW > 0.5), structure=_EIGHT_NEIGHBOURS)
        for label in range(1, count + 1):
            solid = labels == label
            if solid.sum() >= least_area and ndimage.binary_erosion(solid).any():
                solids.append((number, solid))
    solids.sort(key=lambda item: -int(item[1].sum()))
    taken = np.zeros(nearest_HW.shape, dtype=bool)
    for _, solid in solids:
        taken |= solid
    regions = []
    for number, solid in solids:
        near = ndimage.binary_dilation(solid, structure=_EIGHT_NEIGHBOURS, iterations=_EDGE_REACH)
        rows, columns = ndimage.find_objects(near.astype(np.int8))[0]
        coverage = np.where(near & (solid | ~taken), coverage_KHW[number], 0)[rows, columns]
        core = coverage_KHW[number] >= 0.9 * coverage_KHW[number][solid].max()
        color = np.median(picture[solid & core], axis=0)
        contrast = float(np.linalg.norm(color - background))
        regions.append(
            Region(color=color_name(color), coverage=coverage, left=columns.start, top=rows.start, contrast=contrast)
        )
    return regions


def _palette(picture: Floats, background: Floats) -> Floats:
    """The colours (K, 3) of the objects' interiors: one for each vocabulary colour that flat areas are nearest to."""
    contrast_HW = np.linalg.norm(picture - background, axis=-1)
    steps = np.gradient(picture, axis=(0, 1))
    change_HW = np.sqrt(sum(np.square(step).sum(axis=-1) for step in steps))
    pixels = picture[(contrast_HW > LEAST_CONTRAST) & (change_HW < FLATNESS * contrast_HW)]
    names = np.square(pixels[:, None] - _RGB).sum(axis=-1).argmin(axis=1)
    palette: list[Floats] = []
    for name in np.argsort(-np.bincount(names, minlength=len(_NAMES)), kind="stable"):
        votes = pixels[names == name]
        if len(votes) < LEAST_AREA / 4 * min(picture.shape[:2]) ** 2:
            break
        color = np.median(votes, axis=0)
        if all(np.linalg.norm(color - other) >= LEAST_CONTRAST for other in palette):
            palette.append(color)
    return np.array(palette, dtype=np.float32)


def _unmix(picture: Floats, background: Floats, palette: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Coverage (K, H, W) by each colour, 0-1, and the number (H, W) of the colour whose line each pixel is nearest."""
    offset = picture - background
    direction = palette - background
    coverage = np.clip(np.einsum("hwc,kc->khw", offset, direction) / np.square(direction).sum(1)[:, None, None], 0, 1)
    residual = np.square(offset - coverage[..., None] * direction[:, None, None]).sum(axis=-1)
    return coverage, residual.argmin(axis=0)
