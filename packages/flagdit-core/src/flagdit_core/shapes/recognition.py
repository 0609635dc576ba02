"""Name the shape of a region, and measure it: soft intersection over union with templates drawn by the world itself."""

import math
from dataclasses import dataclass, replace

import numpy as np

from flagdit_core.shapes.drawing import MOMENTS, SYMMETRY, shape_mask
from flagdit_core.shapes.segmentation import UNCLEAR, Region
from flagdit_core.shapes.vocabulary import SHAPES

LEAST_OVERLAP = 0.62
"""A region is called by a shape's name if its intersection over union with that shape is at least this."""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """The shape that a region resembles most.

    Attributes:
        shape: Its name, or ``UNCLEAR`` where the overlap is below ``LEAST_OVERLAP``.
        overlap: Soft intersection over union, 0-1.
        x: Centre in pixels from the picture's left edge.
        y: Centre in pixels from the top.
        radius: Half the longest side of the shape's upright box, in pixels.
        angle: Degrees that it is turned clockwise.
    """

    shape: str
    overlap: float
    x: float
    y: float
    radius: float
    angle: float


def recognise(region: Region, angle_step: float | None = None) -> Likeness:
    """The best of all shapes, each given the area and the centroid of the region (which blur leaves alone).

    Args:
        region: What was seen.
        angle_step: Try shapes turned by multiples of so many degrees too, as far as the turn can be seen.

    Returns:
        The shape, and how it lies.
    """
    area = float(region.coverage.sum())
    rows, columns = np.indices(region.coverage.shape)
    centroid_x = region.left + 0.5 + float((region.coverage * columns).sum()) / area
    centroid_y = region.top + 0.5 + float((region.coverage * rows).sum()) / area
    candidates = []
    for shape in SHAPES:
        unit_area, unit_x, unit_y = MOMENTS[shape]
        radius = math.sqrt(area / unit_area)
        x, y = centroid_x - unit_x * radius, centroid_y - unit_y * radius
        for angle in _angles(shape, angle_step):
            overlap = _overlap(region, shape, x, y, radius, angle)
            candidates.append(Likeness(shape=shape, overlap=overlap, x=x, y=y, radius=radius, angle=angle))
    best = max(candidates, key=lambda candidate: candidate.overlap)
    return best if best.overlap >= LEAST_OVERLAP else replace(best, shape=UNCLEAR)


def _angles(shape: str, step: float | None) -> list[float]:
    """The turns of a shape that look different."""
    if step is None or not SYMMETRY[shape]:
        return [0.0]
    return np.arange(0.0, SYMMETRY[shape], step).tolist()


def _overlap(region: Region, shape: str, x: float, y: float, radius: float, angle: float) -> float:
    """Sum of minima over sum of maxima of the region's and the template's coverage."""
    mask, (left, top) = shape_mask(shape, x - region.left, y - region.top, radius, angle=angle)
    template = np.asarray(mask, dtype=np.float32) / 255
    height, width = region.coverage.shape
    inside = template[max(0, -top) : height - top, max(0, -left) : width - left]
    seen = region.coverage[max(0, top) : top + template.shape[0], max(0, left) : left + template.shape[1]]
    common = float(np.minimum(inside, seen).sum())
    return common / (float(region.coverage.sum()) + float(template.sum()) - common)
