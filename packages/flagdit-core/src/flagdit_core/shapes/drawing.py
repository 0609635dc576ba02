"""Draw shapes, antialiased: each object's box is rasterised at a multiple of the size, then averaged down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from flagdit_core.errors import ConfigError
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS

Outline = npt.NDArray[np.float64]
"""Corners (N, 2) of a closed polygon, x right and y down."""


def _fit(points: Outline) -> Outline:
    """Move and scale an outline so that its box is centred on 0 and its longest side is 2."""
    low, high = points.min(axis=0), points.max(axis=0)
    fitted: Outline = (points - (low + high) / 2) * (2 / (high - low).max())
    return fitted


def _circle(radius: float = 1.0) -> Outline:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _star(inner_radius: float = 0.42) -> Outline:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 1.0, inner_radius)
    return _fit(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def _cross(half_width: float = 0.34) -> Outline:
    a = half_width
    arm = np.array([(a, -a), (a, -1), (-a, -1)])
    quarter_turn = np.array([(0, -1), (1, 0)])
    return np.concatenate([arm @ np.linalg.matrix_power(quarter_turn, turns) for turns in range(4)])


def _heart() -> Outline:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return _fit(np.stack([x, y], axis=1))


OUTLINES: dict[str, Outline] = {
    "circle": _circle(),
    "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64),
    "triangle": _fit(np.array([(0, -math.sqrt(3)), (1, 0), (-1, 0)], dtype=np.float64)),
    "star": _star(),
    "ring": _circle(),
    "cross": _cross(),
    "heart": _heart(),
}
"""Each shape's outer edge, for radius 1."""

SYMMETRY: dict[str, float] = {
    "circle": 0.0,
    "square": 90.0,
    "triangle": 120.0,
    "star": 72.0,
    "ring": 0.0,
    "cross": 90.0,
    "heart": 360.0,
}
"""Degrees after which a turned shape looks the same again; 0 where no turn is seen."""

HOLES: dict[str, Outline] = {"ring": _circle(0.55)}
"""What is cut out of a shape, for radius 1."""


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


MOMENTS: dict[str, tuple[float, float, float]] = {shape: _unit_moments(shape) for shape in OUTLINES}
"""Area and centroid (x, y) of each shape, for radius 1."""


def _turned(outline: Outline, angle: float, centre: tuple[float, float]) -> Outline:
    """An outline turned about a point, clockwise as seen (y points down), by an angle in degrees."""
    if angle == 0:
        return outline
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    rotated: Outline = (outline - centre) @ np.array([(cos, sin), (-sin, cos)]) + centre
    return rotated


def shape_mask(
    shape: str, x: float, y: float, radius: float, *, angle: float = 0.0, supersampling: int = 4
) -> tuple[Image.Image, tuple[int, int]]:
    """The coverage of one shape and where it belongs.

    Args:
        shape: One of ``SHAPES``.
        x: Centre in pixels from the picture's left edge (a pixel is one wide, the first spans 0 to 1).
        y: Centre in pixels from the top.
        radius: Half the longest side of the shape's upright box, in pixels.
        angle: Degrees that the shape is turned clockwise about its centre of area.
        supersampling: Subdivisions of a pixel along each axis.

    Returns:
        Coverage as an 8-bit grey image (255 is inside) that encloses the shape, and the pixel (left, top)
        of its corner.
    """
    centroid = MOMENTS[shape][1:]
    outline = _turned(OUTLINES[shape], angle, centroid)
    reach = radius * max(1.0, float(np.abs(outline).max()))
    left, top = math.floor(x - reach), math.floor(y - reach)
    width, height = math.ceil(x + reach) - left, math.ceil(y + reach) - top
    mask = Image.new("L", (width * supersampling, height * supersampling), 0)
    pen = ImageDraw.Draw(mask)
    # Pillow fills every sample that an edge touches, which grows a polygon by about half a sample on each side.
    scale = radius * supersampling - 0.5
    centre = np.array([x - left, y - top]) * supersampling - 0.5
    pen.polygon((outline * scale + centre).ravel().tolist(), fill=255)
    if shape in HOLES:
        pen.polygon((_turned(HOLES[shape], angle, centroid) * scale + centre).ravel().tolist(), fill=0)
    return mask.reduce(supersampling), (left, top)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A shape in a picture. Its upright box is centred on (x, y) and has a longest side of 2 ``radius``.

    Attributes:
        shape: One of ``SHAPES``.
        color: One of ``COLORS``.
        radius: In units of the picture's shorter side.
        x: Centre, as a fraction of the width from the left.
        y: Centre, as a fraction of the height from the top.
        angle: Degrees that it is turned clockwise about its centre of area.
        opacity: From 0, which is invisible, to 1.
    """

    shape: str
    color: str
    radius: float
    x: float
    y: float
    angle: float = 0.0
    opacity: float = 1.0


def draw_shapes(
    background: str, shapes: Sequence[Shape], width: int, height: int, *, supersampling: int = 4
) -> npt.NDArray[np.uint8]:
    """A picture of shapes, later ones in front.

    Args:
        background: One of ``BACKGROUNDS``.
        shapes: What to draw. Sizes are relative to the shorter side, positions to width and height.
        width: Width in pixels.
        height: Height in pixels.
        supersampling: Subdivisions of a pixel along each axis, for antialiasing.

    Returns:
        RGB picture (height, width, 3), uint8, 0-255.

    Raises:
        ConfigError: If a size is not positive.

    Example:
        >>> draw_shapes("white", [Shape(shape="ring", color="red", radius=0.2, x=0.5, y=0.5)], 64, 48).shape
        (48, 64, 3)
    """
    if width < 1 or height < 1 or supersampling < 1:
        raise ConfigError(f"expected width, height, supersampling of 1 or more, got {width}, {height}, {supersampling}")
    picture = Image.new("RGB", (width, height), BACKGROUNDS[background])
    for item in shapes:
        radius = item.radius * min(width, height)
        mask, corner = shape_mask(
            item.shape, item.x * width, item.y * height, radius, angle=item.angle, supersampling=supersampling
        )
        if item.opacity < 1:
            mask = mask.point([round(item.opacity * level) for level in range(256)])
        picture.paste(COLORS[item.color], (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)
    return np.array(picture)
