"""Film files that carry the settings they were made with, and appear whole or not at all; written frame by frame.

Needs ``flagdit-core[films]``.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from flagdit_core.errors import CodecError, ConfigError, OutputError, ShapeError
from flagdit_core.gif import write_gif
from flagdit_core.metadata import METADATA_KEY, decode_metadata, encode_metadata
from flagdit_core.output import atomic_file, check_ending

try:
    import av
    from av.video.reformatter import ColorRange, Colorspace
except ModuleNotFoundError as error:
    raise CodecError("film files need PyAV: pip install 'flagdit-core[films]'") from error

_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("libx264", {"crf": "16", "preset": "medium"}),
    ".webm": ("libvpx-vp9", {"crf": "20", "b": "0"}),
}
_CONTAINER_OPTIONS = {".mp4": {"movflags": "faststart"}, ".webm": dict[str, str]()}
ENDINGS = (*_ENCODERS, ".gif")
LEAST_FPS = 0.01
_MOST_FPS = {".mp4": 240.0, ".webm": 240.0, ".gif": 50.0}
_LONGEST_SIDE = {".mp4": 16384, ".webm": 16384, ".gif": 65535}
_REC_709, _SRGB = 1, 13  # numbers of ITU-T H.273


def check_film_file(path: Path, *, width: int, height: int, fps: float) -> None:
    """Make sure that the file format can hold such a film.

    Args:
        path: The file to be written.
        width: Pixels.
        height: Pixels.
        fps: Frames a second.

    Raises:
        ConfigError: The file ending is not one of ours, or the rate is out of the format's range.
        ShapeError: The format cannot have this size.
    """
    ending = check_ending(path, ENDINGS, "a film file")
    if not LEAST_FPS <= fps <= _MOST_FPS[ending]:
        raise ConfigError(f"{path}: {ending} files have {LEAST_FPS:g} to {_MOST_FPS[ending]:g} fps, got {fps:g}")
    if max(width, height) > _LONGEST_SIDE[ending]:
        raise ShapeError(
            f"{path}: {ending} files hold at most {_LONGEST_SIDE[ending]} pixels a side, got {width}x{height}"
        )
    if ending != ".gif" and (width % 2 or height % 2):
        raise ShapeError(f"{path}: {ending} files need even sides, got {width}x{height}; use .gif")


def write_film(
    frames: Iterable[npt.NDArray[np.uint8]], path: Path | str, *, fps: float, metadata: Mapping[str, Any]
) -> None:
    """Write a film with the settings it was made with, as its frames are made: it is never in memory as a whole.

    MP4 is H.264, WebM is VP9, both with colours at half resolution (Rec. 709); GIF has 256 colours a frame, and times
    in 1/100 s.

    Args:
        frames: RGB pictures (H, W, 3), all of one size; at least one.
        path: File to write, whose ending picks the format; a file that is there is replaced.
        fps: Frames a second.
        metadata: JSON-ready settings, stored as the file's comment.

    Raises:
        ConfigError: The file ending is not one of ours, or the rate is out of the format's range.
        ShapeError: There is no frame, the format cannot have this size, or a frame is no 8-bit RGB picture of it.
        OutputError: The file cannot be written.
    """
    path, rest = Path(path), iter(frames)
    first = next(rest, None)
    if first is None:
        raise ShapeError(f"expected at least one frame for {path}, got none")
    height, width = first.shape[:2]
    check_film_file(path, width=width, height=height, fps=fps)
    comment = encode_metadata({METADATA_KEY: dict(metadata)}, ascii_only=True)
    pictures = _of_one_size(chain([first], rest), (height, width, 3))
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".gif":
            write_gif(pictures, temporary, fps=fps, comment=comment)
        else:
            _write_video(pictures, temporary, path, fps, comment)


def read_film_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that :func:`write_film` stored in a film.

    Args:
        path: A film file.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or no film, or was not made by this program.
    """
    path = Path(path)
    if not path.is_file():
        raise CodecError(f"there is no file {path}")
    try:
        if path.suffix.lower() == ".gif":
            with Image.open(path) as image:
                comment = image.info.get("comment", b"").decode("ascii", "replace")
        else:
            with av.open(str(path)) as container:
                tags = {name.lower(): value for name, value in container.metadata.items()}
                comment = tags.get("comment", "")
    except (av.FFmpegError, OSError, UnidentifiedImageError) as error:
        raise CodecError(f"{path} cannot be read as a film: {error}") from error
    settings = decode_metadata(comment, path).get(METADATA_KEY)
    return settings if isinstance(settings, dict) else decode_metadata(None, path)


def _of_one_size(
    frames: Iterable[npt.NDArray[np.uint8]], shape: tuple[int, int, int]
) -> Iterator[npt.NDArray[np.uint8]]:
    """The same frames; an encoder would scale one of another size, and say nothing."""
    for number, frame in enumerate(frames):
        if frame.shape != shape or frame.dtype != np.uint8:
            raise ShapeError(f"expected frames of uint8 {shape}, got {frame.dtype} {frame.shape} as frame {number}")
        yield frame


def _write_video(
    frames: Iterator[npt.NDArray[np.uint8]], temporary: Path, path: Path, fps: float, comment: str
) -> None:
    """H.264 or VP9, which players read everywhere; the file says which colours its numbers mean."""
    ending = path.suffix.lower()
    encoder, options = _ENCODERS[ending]
    rate = Fraction(fps).limit_denominator(1001)
    try:
        with av.open(str(temporary), "w", container_options=_CONTAINER_OPTIONS[ending]) as container:
            container.metadata["comment"] = comment
            stream = cast(av.VideoStream, container.add_stream(encoder, rate=rate, options=options))
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.colorspace = context.color_primaries = _REC_709
            context.color_trc, context.color_range = _SRGB, int(ColorRange.MPEG)
            for number, picture in enumerate(frames):
                if number == 0:
                    stream.height, stream.width = picture.shape[:2]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(
                    stream.encode(
                        frame.reformat(
                            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                        )
                    )
                )
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
