"""Previews of an object that turns: a contact sheet, a GIF or a film."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from flagdit_core.contact_sheet import save_contact_sheet
from flagdit_core.errors import ConfigError
from flagdit_core.output import atomic_file
from lumina_3d.cameras import FIELD_OF_VIEW, Camera
from lumina_3d.rendering import render
from lumina_3d.views import Object3D

ENDINGS = (".png", ".gif", ".mp4")
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


def save_turntable(item: Object3D, path: Path | str, *, frames: int = 48, size: int = 256, fps: int = 24) -> None:
    """Write a preview of an object.

    Args:
        item: The object.
        path: .png for eight views side by side, .gif or .mp4 for a film that runs in a circle.
        frames: Of the film.
        size: Side of the pictures, in pixels; even for .mp4.
        fps: Frames a second of the film.

    Raises:
        ConfigError: The file ending is not one of ours, or a number is out of range.
        ShapeError: The size is out of range.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{path} ends in {ending!r}; a turntable ends in {', '.join(ENDINGS)}")
    if fps < 1 or (ending == ".mp4" and size % 2):
        raise ConfigError(f"expected 1 frame a second or more and an even size for .mp4, got {fps} and {size}")
    pictures = turntable(item, frames=_SHEET_FRAMES if ending == ".png" else frames, size=size)
    images = [Image.fromarray(picture) for picture in pictures]
    match ending:
        case ".png":
            save_contact_sheet(images, path, columns=_SHEET_FRAMES // 2)
        case ".gif":
            with atomic_file(path) as temporary:
                images[0].save(temporary, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
        case ".mp4":
            with atomic_file(path) as temporary:
                _write_mp4(pictures, temporary, fps)


def _write_mp4(pictures: npt.NDArray[np.uint8], path: Path, fps: int) -> None:
    """An h264 film of pictures (T, H, W, 3) with even sides."""
    import av

    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18"})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
