"""What this package makes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ConfigError

Picture = npt.NDArray[np.uint8]


class Frames(Protocol):
    """RGB pictures (H, W, 3), uint8, all of one size, that may be gone through more than once.

    An array (T, H, W, 3) is one; so is what a codec decodes as it is asked, which is never in memory as a whole.
    """

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Picture]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """A film without sound.

    Attributes:
        frames: Its pictures.
        fps: Frames a second, above 0.

    Raises:
        ConfigError: There is no frame, or the rate is no positive number.
    """

    frames: Frames
    fps: float

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise ConfigError("a film needs at least one frame")
        number = isinstance(self.fps, int | float) and not isinstance(self.fps, bool)
        if not number or not 0 < self.fps < math.inf:
            raise ConfigError(f"fps must be a number above 0, got {self.fps!r}")

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.frames) / self.fps

    def to_numpy(self) -> Picture:
        """All frames at once, (T, H, W, 3) uint8."""
        return np.stack(list(self.frames))


def join(before: Film, after: Film, *, overlap: int) -> Film:
    """One film and then another, at the second one's rate; neither is in memory as a whole.

    Args:
        before: The beginning.
        after: The rest, of the same size.
        overlap: How many of its frames are the end of ``before`` already, and are left out.

    Returns:
        Both together.

    Raises:
        ConfigError: One of them has not so many frames.
    """
    most = min(len(before.frames), len(after.frames))
    if isinstance(overlap, bool) or not isinstance(overlap, int) or not 0 <= overlap <= most:
        raise ConfigError(f"expected an overlap of 0 to {most} frames, as many as either film has, got {overlap!r}")
    return Film(frames=_JoinedFrames(before=before.frames, after=after.frames, overlap=overlap), fps=after.fps)


@dataclass(frozen=True, kw_only=True, eq=False)
class _JoinedFrames:
    """One film's frames and then another's, but for the first of these."""

    before: Frames
    after: Frames
    overlap: int

    def __len__(self) -> int:
        return len(self.before) + len(self.after) - self.overlap

    def __iter__(self) -> Iterator[Picture]:
        yield from self.before
        yield from islice(self.after, self.overlap, None)
