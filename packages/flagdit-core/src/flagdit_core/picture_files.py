"""Picture files that users bring along: read whole, and scaled to sizes that a network can read."""

import math
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from flagdit_core.errors import DataError


def read_picture(path: Path | str) -> Image.Image:
    """A picture from a file.

    Args:
        path: Any file that Pillow opens; transparency becomes white.

    Returns:
        The picture, RGB.

    Raises:
        DataError: The file is missing, damaged, or no picture.
    """
    try:
        with Image.open(path) as file:
            rgba = file.convert("RGBA")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def fitted(picture: Image.Image, *, multiple: int, max_pixels: int) -> Image.Image:
    """A picture, whole, scaled to sides that a network can read.

    Args:
        picture: Any.
        multiple: Both sides are scaled to the nearest multiple of this, at least one.
        max_pixels: Larger pictures are scaled down to about this area first.

    Returns:
        The picture itself where its size fits.
    """
    size = fitting_size(*picture.size, multiple=multiple, max_pixels=max_pixels)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def fitting_size(width: int, height: int, *, multiple: int, max_pixels: int) -> tuple[int, int]:
    """The nearest size that a network can read.

    Args:
        width: Of a picture or frame, in pixels.
        height: Likewise.
        multiple: Both sides become multiples of it, at least one.
        max_pixels: Larger ones are scaled down to about this area first.

    Returns:
        (width, height) of nearly the same shape.

    Example:
        >>> fitting_size(400, 200, multiple=16, max_pixels=128 * 128)
        (176, 96)
    """
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    across, down = (max(1, round(side * scale / multiple)) * multiple for side in (width, height))
    return across, down
