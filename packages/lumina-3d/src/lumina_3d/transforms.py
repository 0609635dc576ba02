"""Folders of views: PNG files, and ``transforms.json`` with their cameras, as NeRF tools keep them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError
from flagdit_core.metadata import METADATA_KEY
from flagdit_core.output import atomic_file, atomic_folder
from flagdit_core.picture_files import UNREADABLE, on_white
from lumina_3d.cameras import Camera
from lumina_3d.views import Views

TRANSFORMS = "transforms.json"


def save_views(views: Views, folder: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write views as PNG files with their cameras in ``transforms.json``, as NeRF tools read them.

    Args:
        views: The pictures and cameras.
        folder: Must not be there yet.
        metadata: JSON-ready settings, stored in ``transforms.json`` under "lumina".

    Raises:
        ConfigError: The cameras differ in their field of view.
        OutputError: The folder is there already, or cannot be written.
    """
    with atomic_folder(Path(folder)) as temporary:
        files = [f"{number:03d}.png" for number in range(len(views.images))]
        for file, image in zip(files, views.images, strict=True):
            Image.fromarray(image).save(temporary / file)
        size = {"width": views.width, "height": views.height}
        extra = {METADATA_KEY: dict(metadata)}
        write_transforms(temporary / TRANSFORMS, views.cameras, files, **size, extra=extra)


def load_views(folder: Path | str) -> Views:
    """The views of a folder that :func:`save_views` wrote, or another one with pictures and a ``transforms.json``.

    Args:
        folder: The folder.

    Returns:
        The views.

    Raises:
        CodecError: A file is missing or damaged, or the pictures differ in size.
    """
    folder = Path(folder)
    cameras, files, _ = read_transforms(folder / TRANSFORMS)
    images = []
    for file in files:
        try:
            with Image.open(folder / file) as image:
                images.append(np.asarray(on_white(image)))
        except UNREADABLE as error:
            raise CodecError(f"{folder / file} cannot be read as a picture: {error}") from error
    if len({image.shape for image in images}) != 1:
        raise CodecError(f"expected one or more pictures of one size in {folder}")
    return Views(images=np.stack(images), cameras=cameras)


def write_transforms(
    path: Path, cameras: Sequence[Camera], files: Sequence[str], *, width: int, height: int, extra: dict[str, Any]
) -> None:
    """Write ``transforms.json`` as instant-ngp and its successors read it.

    Args:
        path: The file; one that is there is replaced.
        cameras: One for each picture, all with the same field of view.
        files: The pictures' paths relative to the file.
        width: Of the pictures, in pixels.
        height: Of the pictures, in pixels.
        extra: JSON-ready values to keep beside the cameras.

    Raises:
        ConfigError: The cameras differ in their field of view, which this file cannot say.
        OutputError: The file cannot be written.
    """
    fields = {camera.field_of_view for camera in cameras}
    if len(fields) != 1:
        raise ConfigError(f"expected cameras of one field of view for {path.name}, got {sorted(fields)}")
    angle = math.radians(fields.pop())
    focal = cameras[0].intrinsics(width, height)[0, 0]
    frames = [
        {
            "file_path": file,
            "transform_matrix": [list(row) for row in camera.pose],
            "azimuth": round(camera.azimuth, 6),
            "elevation": round(camera.elevation, 6),
        }
        for camera, file in zip(cameras, files, strict=True)
    ]
    intrinsics = {"camera_angle_x": angle, "fl_x": focal, "fl_y": focal, "cx": width / 2, "cy": height / 2}
    content = {**intrinsics, "w": width, "h": height, **extra, "frames": frames}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_transforms(path: Path) -> tuple[tuple[Camera, ...], list[str], dict[str, Any]]:
    """Cameras, the pictures' paths relative to the file, and the whole content of a ``transforms.json``.

    Args:
        path: The file.

    Returns:
        The three, in the order of the file's frames.

    Raises:
        CodecError: The file is missing or is no such file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        field_of_view = math.degrees(content["camera_angle_x"])
        frames = content["frames"]
        cameras = tuple(
            Camera.at(np.array(frame["transform_matrix"], dtype=np.float64), field_of_view=field_of_view)
            for frame in frames
        )
        return cameras, [str(frame["file_path"]) for frame in frames], content
    except FileNotFoundError as error:
        raise CodecError(f"there is no file {path}") from error
    except OSError as error:
        raise CodecError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise CodecError(
            f"{path} is no transforms.json: expected camera_angle_x, and frames with file_path and transform_matrix "
            f"({error!r})"
        ) from error
