"""What this package makes."""

from collections.abc import Iterator
from dataclasses import dataclass
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
        ConfigError: There is no frame, or the rate is not positive.
    """

    frames: Frames
    fps: float

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise ConfigError("a film needs at least one frame")
        if not self.fps > 0:
            raise ConfigError(f"fps must be above 0, got {self.fps}")

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.frames) / self.fps

    def to_numpy(self) -> Picture:
        """All frames at once, (T, H, W, 3) uint8."""
        return np.stack(list(self.frames))
