"""What this package makes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ConfigError, ShapeError


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """A film without sound.

    Attributes:
        frames: RGB pictures (T, H, W, 3), uint8, 0-255.
        fps: Frames a second, above 0.

    Raises:
        ShapeError: The frames are no such array.
        ConfigError: The rate is not positive.
    """

    frames: npt.NDArray[np.uint8]
    fps: float

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3 or not len(self.frames):
            raise ShapeError(f"expected frames (T, H, W, 3) in uint8, got {self.frames.dtype} {self.frames.shape}")
        if not self.fps > 0:
            raise ConfigError(f"fps must be above 0, got {self.fps}")

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.frames) / self.fps
