"""Where places begin and end, when a relation holds: one definition for all of the world.

Lengths are in units of the picture's shorter side; x points right, y points down.
"""

import math

from lumina_image.world.vocabulary import PLACES, RELATIONS

MIDDLE_BAND = (0.405, 0.595)
"""Fractions of the width (or height) between which a centre is in the middle column (or row)."""


def picture_extent(aspect: float) -> tuple[float, float]:
    """Width and height, in units of the shorter side, of a picture with ``aspect`` = width / height."""
    return max(aspect, 1.0), max(1.0 / aspect, 1.0)


def band_of(fraction: float) -> int:
    """-1, 0 or 1: the column (or row) that a coordinate in fractions of the width (or height) lies in."""
    low, high = MIDDLE_BAND
    return int(fraction > high) - int(fraction < low)


def place_of(x: float, y: float) -> str:
    """The place of a centre given in fractions of the picture's width and height."""
    cell = (band_of(x), band_of(y))
    return next(place for place, position in PLACES.items() if position == cell)


def relation_of(dx: float, dy: float) -> str:
    """The relation of a subject that lies at (dx, dy) from its reference: the axis with the larger part decides."""
    horizontal = abs(dx) > abs(dy)
    direction = (int(math.copysign(1, dx)), 0) if horizontal else (0, int(math.copysign(1, dy)))
    return next(relation for relation, unit in RELATIONS.items() if unit == direction)
