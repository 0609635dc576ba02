"""A piece of sound, and what is done to it before anybody hears it: channels, sample rate and level.

Legend: n samples of one channel.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import CodecError, ConfigError

Samples = npt.NDArray[np.float32]

PEAK_CEILING_DB = -1.0
"""Nothing that this program writes comes nearer to full scale, so that lossy formats and players do not clip it."""
SANE_LEVELS_DB = (-40.0, -10.0)
"""A sound whose :attr:`Sound.level_db` lies outside is brought to the nearer end; inside, soft stays soft."""
LEVEL_WINDOW = 0.05
"""Seconds over which a level is measured, about as long as the ear takes to judge loudness of short sounds."""
SILENCE_DB = -120.0
"""What digital silence is said to have; anything softer counts as it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound:
    """One or two channels of sound.

    Attributes:
        samples: (1 or 2, n) float32 in [-1, 1], n at least 1.
        sample_rate: Samples of a channel per second, in Hz.

    Raises:
        CodecError: The samples have another shape, are not finite or leave [-1, 1], or the rate is not positive.

    Example:
        >>> Sound.of(np.zeros(8000), sample_rate=16000).seconds
        0.5
    """

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        shape, kind = self.samples.shape, self.samples.dtype
        if kind != np.float32 or len(shape) != 2 or shape[0] not in (1, 2) or shape[1] < 1:
            raise CodecError(f"expected float32 samples (1 or 2, n) with n at least 1, got {kind} {shape}")
        if not np.isfinite(self.samples).all() or np.abs(self.samples).max() > 1:
            raise CodecError("expected finite samples in [-1, 1]; scale them first, or use Sound.of(..., safe=True)")
        if isinstance(self.sample_rate, bool) or not isinstance(self.sample_rate, int) or self.sample_rate < 1:
            raise CodecError(f"expected a sample rate of a positive whole number of hertz, got {self.sample_rate!r}")

    @classmethod
    def of(cls, samples: npt.ArrayLike, *, sample_rate: int, safe: bool = False) -> Self:
        """A sound from anything like an array.

        Args:
            samples: (n,), (1, n) or (2, n) real numbers in [-1, 1], or beyond with ``safe``.
            sample_rate: In Hz.
            safe: Turn down what would clip, and replace nothing else.

        Returns:
            The sound.

        Raises:
            CodecError: As the class.
        """
        array = np.atleast_2d(np.asarray(samples, dtype=np.float32))
        if safe and array.size and np.isfinite(array).all():
            ceiling = 10 ** (PEAK_CEILING_DB / 20)
            array = array * np.float32(min(1.0, ceiling / max(float(np.abs(array).max()), ceiling)))
        return cls(samples=array, sample_rate=sample_rate)

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples.shape[1] / self.sample_rate

    @property
    def num_channels(self) -> int:
        """1 for mono, 2 for stereo."""
        return self.samples.shape[0]

    @property
    def peak_db(self) -> float:
        """The largest absolute sample in decibels relative to full scale, at least ``SILENCE_DB``."""
        return _decibels(float(np.abs(self.samples).max()))

    @property
    def level_db(self) -> float:
        """RMS of the loudest ``LEVEL_WINDOW`` seconds over all channels, in decibels relative to full scale."""
        window = min(max(1, round(LEVEL_WINDOW * self.sample_rate)), self.samples.shape[1])
        energy = np.square(self.samples, dtype=np.float64).mean(axis=0)
        total = np.concatenate([[0.0], np.cumsum(energy)])
        return _decibels(float(np.sqrt(max(0.0, (total[window:] - total[:-window]).max() / window))))

    def mono(self) -> Self:
        """The mean of the channels as one channel."""
        return replace(self, samples=self.samples.mean(axis=0, keepdims=True, dtype=np.float32))

    def stereo(self) -> Self:
        """Two channels; a single one is played on both sides."""
        return replace(self, samples=np.repeat(self.samples, 3 - self.num_channels, axis=0))

    def resampled(self, sample_rate: int) -> Self:
        """The same sound at another rate, by soxr at its highest quality.

        Args:
            sample_rate: In Hz.

        Returns:
            A sound whose length is rounded to whole samples. Overshoot at its edges is turned down, not clipped.

        Raises:
            ConfigError: The rate is not positive.
        """
        import soxr  # only where it is needed

        if not 1 <= sample_rate < np.inf:
            raise ConfigError(f"expected a sample rate of a positive number of hertz, got {sample_rate}")
        if sample_rate == self.sample_rate:
            return self
        resampled = soxr.resample(self.samples.T, self.sample_rate, sample_rate, quality="VHQ").T
        length = max(1, round(self.samples.shape[1] * sample_rate / self.sample_rate))
        padded = np.pad(resampled, ((0, 0), (0, max(0, length - resampled.shape[1]))))[:, :length]
        over = max(1.0, float(np.abs(padded).max()))
        return replace(self, samples=(padded / over).astype(np.float32), sample_rate=sample_rate)

    def levelled(self) -> tuple[Self, float]:
        """Bring the level to the nearer end of ``SANE_LEVELS_DB`` if it lies outside, and the peak below its ceiling.

        Silence stays silence.

        Returns:
            The sound, and the gain that was applied, in decibels; 0 where nothing was to be done.
        """
        level = self.level_db
        if level <= SILENCE_DB:
            return self, 0.0
        gain = float(np.clip(level, *SANE_LEVELS_DB)) - level
        gain = min(gain, PEAK_CEILING_DB - self.peak_db)
        return replace(self, samples=(self.samples * 10 ** (gain / 20)).astype(np.float32)), gain


def _decibels(amplitude: float) -> float:
    """20 log10, at least ``SILENCE_DB``."""
    return max(SILENCE_DB, 20 * float(np.log10(max(amplitude, 1e-12))))
