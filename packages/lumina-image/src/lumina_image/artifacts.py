"""Picture files that carry the settings they were made with, and appear whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from flagdit_core.errors import CodecError, OutputError, ShapeError
from flagdit_core.metadata import METADATA_KEY, decode_metadata, encode_metadata
from flagdit_core.output import atomic_file, check_ending
from flagdit_core.picture_files import UNREADABLE

_SOFTWARE = "lumina-image"
_EXIF_IFD, _EXIF_SOFTWARE, _EXIF_COMMENT = 0x8769, 0x0131, 0x9286
_COMMENT_IS_ASCII = b"ASCII\x00\x00\x00"
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_LONGEST_SIDE = {"PNG": 2**31 - 1, "JPEG": 65535, "WEBP": 16383}  # limits of the file formats
_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "method": 4},
}


def check_image_file(path: Path, *, width: int, height: int) -> None:
    """Make sure that the file format can hold a picture of this size.

    Args:
        path: The file to be written.
        width: Pixels.
        height: Pixels.

    Raises:
        ConfigError: The file ending is not one of ours.
        ShapeError: The picture is larger than the format allows.
    """
    kind = _format(path)
    if max(width, height) > _LONGEST_SIDE[kind]:
        raise ShapeError(
            f"{path}: {kind} files hold at most {_LONGEST_SIDE[kind]} pixels a side, got {width}x{height}; use .png"
        )


def save_image(image: Image.Image, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write a picture with the settings it was made with; JPEG and WebP are lossy (quality 95).

    Args:
        image: 8-bit RGB.
        path: File to write, whose ending picks the format; a file that is there is replaced.
        metadata: JSON-ready settings. Stored under ``lumina`` in PNG text, or in the EXIF comment.

    Raises:
        ConfigError: The file ending is not one of ours.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    kind = _format(path)
    options = _OPTIONS[kind] | (_png_text(metadata) if kind == "PNG" else _exif(metadata))
    with atomic_file(path) as temporary:
        try:
            image.save(temporary, format=kind, **options)
        except ValueError as error:  # Pillow's word for what a format cannot hold
            raise OutputError(f"cannot write {path}: {error}") from error


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that :func:`save_image` stored in a picture.

    Args:
        path: A picture file.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or no picture, or was not made by this program.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            comment = image.getexif().get_ifd(_EXIF_IFD).get(_EXIF_COMMENT, b"")
            text = image.info.get(METADATA_KEY)
    except FileNotFoundError as error:
        raise CodecError(f"there is no file {path}") from error
    except UNREADABLE as error:
        raise CodecError(f"{path} cannot be read as a picture: {error}") from error
    if text is None and isinstance(comment, bytes):  # anything else is a comment that somebody else wrote
        text = comment.removeprefix(_COMMENT_IS_ASCII).decode("ascii", errors="replace")
    return decode_metadata(text, path)


def _format(path: Path) -> str:
    """Pillow's name of the format that a file ending stands for."""
    return _FORMATS[check_ending(path, _FORMATS, "a picture file")]


def _png_text(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """PNG text chunks in UTF-8; Description and Software are the PNG specification's own keywords."""
    text = PngInfo()
    text.add_itxt("Software", _SOFTWARE)
    if "prompt" in metadata:
        text.add_itxt("Description", str(metadata["prompt"]))
    text.add_itxt(METADATA_KEY, encode_metadata(metadata))
    return {"pnginfo": text}


def _exif(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """EXIF with the settings as a comment, which JSON's escapes keep in ASCII."""
    exif = Image.Exif()
    exif[_EXIF_SOFTWARE] = _SOFTWARE
    exif.get_ifd(_EXIF_IFD)[_EXIF_COMMENT] = _COMMENT_IS_ASCII + encode_metadata(metadata, ascii_only=True).encode(
        "ascii"
    )
    return {"exif": exif}
