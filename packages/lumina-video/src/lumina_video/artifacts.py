"""Film files that carry the settings they were made with, and appear whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagdit_core.film_files import read_film_metadata, write_film
from flagdit_core.picture_files import read_png_metadata
from lumina_video.film import Film


def save_film(film: Film, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write a film with the settings it was made with, as it is decoded: it is never in memory as a whole.

    MP4 is H.264, WebM is VP9, both with colours at half resolution (Rec. 709); GIF has 256 colours a frame, and times
    in 1/100 s.

    Args:
        film: The film.
        path: File to write, whose ending picks the format; a file that is there is replaced.
        metadata: JSON-ready settings, stored as the file's comment.

    Raises:
        ConfigError: The file ending is not one of ours, or the rate is out of the format's range.
        ShapeError: The format cannot have this size.
        OutputError: The file cannot be written.
    """
    write_film(film.frames, path, fps=film.fps, metadata=metadata)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that a film, or the contact sheet beside it, was saved with.

    Args:
        path: A film file or a PNG.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or damaged, or was not made by this program.
    """
    return read_png_metadata(path) if Path(path).suffix.lower() == ".png" else read_film_metadata(path)
