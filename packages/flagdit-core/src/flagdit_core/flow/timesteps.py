"""Distributions of the time at which a training pair is mixed."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.flow.schedules import time_shift


@dataclass(frozen=True, kw_only=True)
class TimestepDistribution:
    """How training times are drawn: a base law on [0, 1], shifted, then mapped onto [low, high].

    Lumina-T2X trains with "logit-normal", mean 0, std 1 (Esser et al. 2024, arXiv 2403.03206, section 3.1).

    Attributes:
        kind: "uniform", or "logit-normal" = sigmoid(mean + std z), z ~ N(0, 1).
        mean: Mean of the logit-normal's logit; negative puts weight near noise.
        std: Standard deviation of the logit-normal's logit, > 0.
        shift: Factor f > 0 of ``schedules.time_shift``: above 1 towards noise, as in sampling. (The authors' training
            option "shift_f" is towards data: 1 / f here.)
        low: Smallest time, >= 0. Score and noise predictions need ``intervals.interval``'s.
        high: Largest time, <= 1.
    """

    kind: Literal["uniform", "logit-normal"] = "uniform"
    mean: float = 0.0
    std: float = 1.0
    shift: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("uniform", "logit-normal"):
            raise ConfigError(f"unknown timestep distribution {self.kind!r}; use one of: uniform, logit-normal")
        if not (0 <= self.low < self.high <= 1):
            raise ConfigError(f"expected 0 <= low < high <= 1, got low={self.low} and high={self.high}")
        if not (math.isfinite(self.mean) and 0 < self.std < math.inf and 0 < self.shift < math.inf):
            raise ConfigError(
                f"expected a finite mean, std > 0 and shift > 0, got {self.mean}, {self.std} and {self.shift}"
            )


def transform_timesteps(distribution: TimestepDistribution, base: Tensor) -> Tensor:
    """Times from draws of the base law, so that the draws can come from anywhere.

    Args:
        distribution: The distribution.
        base: Draws from U(0, 1) for "uniform", from N(0, 1) for "logit-normal"; any shape, float32.

    Returns:
        Times in [low, high], of the same shape and dtype.
    """
    unit = torch.sigmoid(distribution.mean + distribution.std * base) if distribution.kind == "logit-normal" else base
    return distribution.low + (distribution.high - distribution.low) * time_shift(unit, distribution.shift)


def sample_timesteps(distribution: TimestepDistribution, num_samples: int, *, generator: Generator) -> Tensor:
    """Independent training times.

    Args:
        distribution: The distribution.
        num_samples: B, how many.
        generator: Source of randomness; the times are on its device.

    Returns:
        (B,) float32 in [low, high].

    Example:
        >>> sample_timesteps(TimestepDistribution(), 2, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2])
    """
    draw = torch.randn if distribution.kind == "logit-normal" else torch.rand
    base = draw(num_samples, generator=generator, device=generator.device, dtype=torch.float32)
    return transform_timesteps(distribution, base)
