"""Films in files, decoded as they are gone through."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from flagdit_core.errors import CodecError
from lumina_video.film import Film, Picture

_WHOLE = 0.9
"""A film that lasts less than this share of what its file says is damaged."""
_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = b"!,;"


@dataclass(frozen=True, kw_only=True)
class StoredFrames:
    """The frames of a film file, decoded each time that they are gone through.

    Attributes:
        path: The file.
        count: How many frames it has.
    """

    path: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Picture]:
        return (picture for _, picture in _decode(self.path))


def read_film(path: Path | str) -> Film:
    """A film from a file. It is decoded once to see that it is whole, and again whenever its frames are gone through.

    Args:
        path: Any film that FFmpeg reads; one that was filmed sideways is turned upright.

    Returns:
        The film, which is never in memory as a whole.

    Raises:
        CodecError: The file is missing, damaged, or no film.
    """
    path = Path(path)
    if not path.is_file():
        raise CodecError(f"there is no file {path}")
    fps, promised, is_gif = _facts(path)
    count, last = 0, 0.0
    for time, _ in _decode(path):
        count, last = count + 1, max(last, time)
    if not count:
        raise CodecError(f"{path} holds no film")
    if is_gif and count < _gif_images(path):
        raise CodecError(f"{path} is damaged: it breaks off after {count} frames")
    if (lasts := last + 1 / fps) < _WHOLE * promised:
        raise CodecError(f"{path} is damaged: it ends after {lasts:.1f} of {promised:.1f} seconds")
    # A GIF has a time for each frame and no rate.
    return Film(frames=StoredFrames(path=path, count=count), fps=count / promised if is_gif and promised else fps)


def _facts(path: Path) -> tuple[float, float, bool]:
    """Frames a second, seconds that the file says that it lasts (0 where it does not), and whether it is a GIF."""
    try:
        with av.open(_local(path)) as container:
            stream = container.streams.video[0]
            rate, is_gif = stream.average_rate or stream.guessed_rate, container.format.name == "gif"
            if stream.duration is not None and stream.time_base is not None:
                promised = float(stream.duration * stream.time_base)
            else:
                alone = len(container.streams) == 1  # else it may be the sound that lasts longer
                promised = container.duration / av.time_base if container.duration and alone else 0.0
    except (av.FFmpegError, IndexError) as error:
        raise _unreadable(path, error) from error
    if not rate:
        raise CodecError(f"{path} holds no film: it has no frame rate")
    return float(rate), promised, is_gif


def has_sound(path: Path | str) -> bool:
    """Whether a film file has a sound track.

    Args:
        path: A film that :func:`read_film` reads.

    Returns:
        Whether there is sound in it, which this package leaves out.
    """
    with av.open(_local(path)) as container:
        return bool(container.streams.audio)


def _gif_images(path: Path) -> float:
    """How many pictures the blocks of a GIF hold; endless where they do not lead to its last one."""
    data, count = path.read_bytes(), 0
    place = 13 + _colors_size(data[10])
    try:
        while data[place] != _GIF_TRAILER:
            if data[place] == _GIF_IMAGE:
                count, place = count + 1, place + 11 + _colors_size(data[place + 9])
            elif data[place] == _GIF_EXTENSION:
                place += 2
            else:
                return math.inf
            while data[place]:
                place += 1 + data[place]
            place += 1
    except IndexError:
        return math.inf
    return count


def _colors_size(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 6 << (flags & 7) if flags & 0x80 else 0


def _local(path: Path | str) -> str:
    """A path as FFmpeg takes it, which would take a relative one with a colon for an address."""
    return str(Path(path).absolute())


def _decode(path: Path) -> Iterator[tuple[float, Picture]]:
    """Each frame and its time in seconds from the first, RGB and upright."""
    try:
        with av.open(_local(path)) as container:
            begin = None
            for frame in container.decode(container.streams.video[0]):
                time = frame.time or 0.0
                begin = time if begin is None else begin
                picture: Picture = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield time - begin, picture
    except (av.FFmpegError, IndexError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CodecError:
    """What is said of a file that FFmpeg cannot read."""
    reason = error.strerror if isinstance(error, av.FFmpegError) else "it has no pictures"
    return CodecError(f"{path} cannot be read as a film: {reason}")
