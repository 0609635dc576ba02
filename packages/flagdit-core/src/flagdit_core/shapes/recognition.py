"""Name the shape of a region, and measure it: soft intersection over union with templates drawn by the world itself."""

import math
from dataclasses import dataclass

import numpy as np

from flagdit_core.shapes.drawing import HOLES, OUTLINES, Outline, shape_mask
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
        radius: Half the longest side of the shape's box, in pixels.
    """

    shape: str
    overlap: float
    x: float
    y: float
    radius: float


def recognise(region: Region) -> Likeness:
    """The best of all shapes, each given the area and the centroid of the region (which blur leaves alone)."""
    area = float(region.coverage.sum())
    rows, columns = np.indices(region.coverage.shape)
    centroid_x = region.left + 0.5 + float((region.coverage * columns).sum()) / area
    centroid_y = region.top + 0.5 + float((region.coverage * rows).sum()) / area
    candidates = []
    for shape in SHAPES:
        unit_area, unit_x, unit_y = _MOMENTS[shape]
        radius = math.sqrt(area / unit_area)
        x, y = centroid_x - unit_x * radius, centroid_y - unit_y * radius
        overlap = _overlap(region, shape, x, y, radius)
        candidates.append(Likeness(shape=shape, overlap=overlap, x=x, y=y, radius=radius))
    best = max(candidates, key=lambda candidate: candidate.overlap)
    if best.overlap >= LEAST_OVERLAP:
        return best
    return Likeness(shape=UNCLEAR, overlap=best.overlap, x=best.x, y=best.y, radius=best.radius)


def _overlap(region: Region, shape: str, x: float, y: float, radius: float) -> float:
    """Sum of minima over sum of maxima of the region's and the template's coverage."""
    mask, (left, top) = shape_mask(shape, x - region.left, y - region.top, radius)
    template = np.asarray(mask, dtype=np.float32) / 255
    height, width = region.coverage.shape
    inside = template[max(0, -top) : height - top, max(0, -left) : width - left]
    seen = region.coverage[max(0, top) : top + template.shape[0], max(0, left) : left + template.shape[1]]
    common = float(np.minimum(inside, seen).sum())
    return common / (float(region.coverage.sum()) + float(template.sum()) - common)


def _moments(outline: Outline) -> tuple[float, float, float]:
    """Area and its first moments of a polygon, by Green's theorem."""
    x, y = outline.T
    next_x, next_y = np.roll(outline, -1, axis=0).T
    cross = x * next_y - next_x * y
    sign = math.copysign(1, cross.sum())
    area, moment_x, moment_y = cross.sum() / 2, ((x + next_x) * cross).sum() / 6, ((y + next_y) * cross).sum() / 6
    return sign * area, sign * moment_x, sign * moment_y


def _unit_moments(shape: str) -> tuple[float, float, float]:
    """Area and centroid of a shape of radius 1."""
    area, moment_x, moment_y = _moments(OUTLINES[shape])
    if shape in HOLES:
        hole = _moments(HOLES[shape])
        area, moment_x, moment_y = area - hole[0], moment_x - hole[1], moment_y - hole[2]
    return area, moment_x / area, moment_y / area


_MOMENTS = {shape: _unit_moments(shape) for shape in SHAPES}
