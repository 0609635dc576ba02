"""Films in one picture: each is a row of its frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flagdit_core import contact_sheet
from lumina_video.film import Film

MOST_COLUMNS = 16


def save_contact_sheet(films: Sequence[Film], path: Path | str, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the frames of films side by side; of long films, as many as 16 at equal distances.

    Args:
        films: At least one.
        path: PNG file to write.
        metadata: JSON-ready settings that the films were made with.

    Raises:
        OutputError: The file cannot be written.
    """
    columns = min(MOST_COLUMNS, max(len(film.frames) for film in films))
    pictures = []
    for film in films:
        wanted = set(np.linspace(0, len(film.frames) - 1, columns).round().astype(int).tolist())
        row = [Image.fromarray(frame) for number, frame in enumerate(film.frames) if number in wanted]
        blank = Image.new("RGB", row[0].size, "white")
        pictures += row + [blank] * (columns - len(row))
    contact_sheet.save_contact_sheet(pictures, path, columns=columns, metadata=metadata)
