"""Many pictures in one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from flagdit_core.picture_files import save_png

GAP = 4


def save_contact_sheet(
    images: Sequence[Image.Image], path: Path | str, *, columns: int = 8, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write pictures side by side, row after row, on white.

    Args:
        images: At least one, of any sizes.
        path: PNG file to write.
        columns: Pictures in a row.
        metadata: JSON-ready settings, stored as PNG text under ``lumina``.

    Raises:
        OutputError: The file cannot be written.
    """
    width, height = max(image.width for image in images) + GAP, max(image.height for image in images) + GAP
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (min(columns, len(images)) * width + GAP, rows * height + GAP), "white")
    for number, image in enumerate(images):
        sheet.paste(image, (GAP + number % columns * width, GAP + number // columns * height))
    save_png(sheet, path, metadata)
