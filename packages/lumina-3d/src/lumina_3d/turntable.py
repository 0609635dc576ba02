"""Previews of an object that turns: a contact sheet, a GIF or a film."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from flagdit_core.contact_sheet import save_contact_sheet
from flagdit_core.errors import ConfigError
from flagdit_core.output import check_ending
from lumina_3d.cameras import FIELD_OF_VIEW, Camera
from lumina_3d.rendering import render
from lumina_3d.views import Object3D

ENDINGS = (".png", ".mp4", ".webm", ".gif")
ELEVATION = 20.0
"""Of the camera, in degrees."""

_SHEET_FRAMES = 8
_MARGIN = 1.05


def turntable(item: Object3D, *, frames: int = 48, size: int = 256) -> npt.NDArray[np.uint8]:
    """Pictures of an object that turns once.

    Args:
        item: The object; its colours are shown as they are, light and all.
        frames: How many, 1 or more.
        size: Side of the square pictures, in pixels.

    Returns:
        RGB (frames, size, size, 3), uint8.

    Raises:
        ConfigError: There are no frames.
        ShapeError: The size is out of range.
    """
    if frames < 1:
        raise ConfigError(f"expected 1 frame or more, got {frames}")
    low, high = np.asarray(item.mesh.bounds)
    radius = float(np.linalg.norm(high - low)) / 2
    distance = _MARGIN * radius / np.sin(np.radians(FIELD_OF_VIEW / 2))
    cameras = [
        Camera.around(azimuth=-360 * frame / frames, elevation=ELEVATION, distance=distance, target=(low + high) / 2)
        for frame in range(frames)
    ]
    return render(item.mesh, cameras, width=size, height=size, light=None, supersampling=3).images


def save_turntable(
    item: Object3D,
    path: Path | str,
    metadata: Mapping[str, Any],
    *,
    frames: int = 48,
    size: int = 256,
    fps: float = 24.0,
) -> None:
    """Write a preview of an object.

    Args:
        item: The object.
        path: .png for eight views side by side, or a film that runs in a circle.
        metadata: JSON-ready settings, stored as PNG text or as the film's comment.
        frames: Of the film.
        size: Side of the pictures, in pixels; even for .mp4 and .webm.
        fps: Frames a second of the film.

    Raises:
        ConfigError: The file ending is not one of ours, or a number is out of range.
        ShapeError: The size is out of range.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    if check_ending(path, ENDINGS, "a turntable") == ".png":
        pictures = [Image.fromarray(picture) for picture in turntable(item, frames=_SHEET_FRAMES, size=size)]
        save_contact_sheet(pictures, path, columns=_SHEET_FRAMES // 2, metadata=metadata)
        return
    from flagdit_core.film_files import check_film_file, write_film  # loads PyAV

    check_film_file(path, width=size, height=size, fps=fps)
    write_film(turntable(item, frames=frames, size=size), path, fps=fps, metadata=metadata)
