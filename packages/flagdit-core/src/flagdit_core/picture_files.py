"""Picture files: those that users bring along, and PNG files with settings in them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from flagdit_core.errors import CodecError, ConfigError, DataError
from flagdit_core.metadata import METADATA_KEY, decode_metadata, encode_metadata
from flagdit_core.output import atomic_file

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged or no pictures; SyntaxError is its word for PNG files."""


def read_picture(path: Path | str) -> Image.Image:
    """A picture from a file.

    Args:
        path: Any file that Pillow opens, of up to 16 bits a channel; transparency becomes white, and one taken sideways
            is turned upright.

    Returns:
        The picture, RGB.

    Raises:
        DataError: The file is missing, damaged, or no picture.
    """
    try:
        with Image.open(path) as file:
            return on_white(ImageOps.exif_transpose(file))
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error


def on_white(picture: Image.Image) -> Image.Image:
    """A picture without transparency, RGB.

    Args:
        picture: As for :func:`of_bytes`.

    Returns:
        The picture on white.

    Raises:
        ConfigError: As :func:`of_bytes`.
    """
    rgba = of_bytes(picture).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def of_bytes(picture: Image.Image) -> Image.Image:
    """A picture of 8 bits a channel; Pillow would cut off what is brighter.

    Args:
        picture: Of up to 16 bits a channel.

    Returns:
        The picture itself where it has 8.

    Raises:
        ConfigError: It is no Pillow picture, or has more bits.
    """
    if not isinstance(picture, Image.Image):
        raise ConfigError(f"expected a PIL image, got {type(picture).__name__}")
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ConfigError("expected 8 or 16 bits a channel, got 32")
    return picture


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


def save_png(image: Image.Image, path: Path | str, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a picture as a PNG file.

    Args:
        image: What to write.
        path: File to write; one that is there is replaced.
        metadata: JSON-ready settings, stored as PNG text under ``lumina``.

    Raises:
        OutputError: The file cannot be written.
    """
    text = PngInfo()
    if metadata is not None:
        text.add_itxt(METADATA_KEY, encode_metadata(metadata))
    with atomic_file(Path(path)) as temporary:
        image.save(temporary, format="PNG", pnginfo=text)


def read_png_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that :func:`save_png` stored.

    Args:
        path: A PNG file.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or no picture, or was not made by this program.
    """
    try:
        with Image.open(path) as image:
            text = image.info.get(METADATA_KEY)
    except FileNotFoundError as error:
        raise CodecError(f"there is no file {path}") from error
    except UNREADABLE as error:
        raise CodecError(f"{path} cannot be read as a picture: {error}") from error
    return decode_metadata(text, path)
