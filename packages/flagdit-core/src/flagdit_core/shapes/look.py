"""What a picture of shapes shows, found by rules: nothing is learned."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from flagdit_core.errors import ShapeError
from flagdit_core.shapes.recognition import recognise
from flagdit_core.shapes.segmentation import background_color, color_name, segment

Picture = npt.NDArray[np.uint8] | Image.Image

SHORTEST_SIDE = 32
"""Smaller pictures cannot be judged."""

_WORKING_SIDE = 128


@dataclass(frozen=True, kw_only=True)
class SeenObject:
    """One object as it was found in a picture.

    Attributes:
        shape: One of ``SHAPES`` or "unclear".
        color: One of ``BACKGROUNDS`` or "unclear".
        radius: Half the longest side of its box, in units of the picture's shorter side.
        x: Centre, as a fraction of the width from the left.
        y: Centre, as a fraction of the height from the top.
        angle: Degrees that it is turned clockwise, below its symmetry's.
        contrast: RGB distance of its colour to the background's.
    """

    shape: str
    color: str
    radius: float
    x: float
    y: float
    angle: float
    contrast: float


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a picture shows, the largest object first; ``aspect`` is width / height."""

    background: str
    objects: tuple[SeenObject, ...]
    aspect: float


def check_sides(width: int, height: int) -> None:
    """Refuse a size at which nothing can be told.

    Args:
        width: Of a picture, in pixels.
        height: Likewise.

    Raises:
        ShapeError: A side is under 32 pixels.
    """
    if min(width, height) < SHORTEST_SIDE:
        raise ShapeError(f"expected sides of {SHORTEST_SIDE} pixels or more, got {width}x{height}")


def look(picture: Picture, *, angle_step: float | None = None) -> Observation:
    """What a picture shows.

    Args:
        picture: uint8 RGB (height, width, 3), or a Pillow image.
        angle_step: Try shapes turned by multiples of so many degrees too; None takes all to be upright.

    Returns:
        Background and objects.

    Raises:
        ShapeError: If the picture has another form or a side under 32 pixels.
    """
    if not isinstance(picture, Image.Image):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise ShapeError(f"expected a uint8 picture (height, width, 3), got {picture.dtype} {picture.shape}")
        picture = Image.fromarray(picture)
    check_sides(picture.width, picture.height)
    aspect = picture.width / picture.height
    small = picture.convert("RGB").reduce(max(1, min(picture.size) // _WORKING_SIDE))
    pixels = np.asarray(small, dtype=np.float32)
    background = background_color(pixels)
    seen = []
    for region in segment(pixels, background):
        likeness = recognise(region, angle_step)
        seen.append(
            SeenObject(
                shape=likeness.shape,
                color=region.color,
                radius=likeness.radius / min(small.size),
                x=likeness.x / small.width,
                y=likeness.y / small.height,
                angle=likeness.angle,
                contrast=region.contrast,
            )
        )
    return Observation(background=color_name(background), objects=tuple(seen), aspect=aspect)
