"""Times at which a sampler stops, from noise (t = 0) to data (t = 1)."""

import math
from typing import TypeVar

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError

Time = TypeVar("Time", float, Tensor)


def time_shift(t: Time, factor: float) -> Time:
    """Times moved to t / (t + f - f t): for f > 1, more of the times lie near noise.

    Esser et al. 2024 (arXiv 2403.03206, section 5.3.2) derive it for larger pictures, which need more noise to hide as
    much. ``time_shift(time_shift(t, f), 1 / f) == t``; f = 1 is the identity.

    Args:
        t: Times in [0, 1], any shape.
        factor: f > 0, finite.

    Returns:
        The shifted times, in [0, 1], of t's shape and dtype.

    Raises:
        ConfigError: The factor is not positive and finite.

    Example:
        >>> time_shift(0.5, 4.0)
        0.2
    """
    _check_factor(factor)
    return t / (t + factor * (1 - t))  # exactly 1 at t = 1


def linear_times(num_steps: int, *, shift: float = 1.0, start: float = 0.0, end: float = 1.0) -> Tensor:
    """``num_steps + 1`` times from start to end, evenly spaced before the time shift.

    The Lumina-T2X authors' ``num_sampling_steps`` counts *points*: their 60 is ``num_steps=59`` here.

    Args:
        num_steps: Steps between the times, >= 1.
        shift: Time shift factor f > 0 of ``time_shift``; the authors sample with 4 at 1024 x 1024.
        start: First time, in [0, 1]. The shift moves only what lies between the ends, so a run of part of the way
            visits times of the whole one's curve.
        end: Last time, in [0, 1]; below start, the times decrease (inversion).

    Returns:
        (num_steps + 1,) float32, strictly monotone.

    Raises:
        ConfigError: A value is out of range, or float32 cannot tell the times apart.

    Example:
        >>> linear_times(4)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if isinstance(num_steps, bool) or not isinstance(num_steps, int) or num_steps < 1:
        raise ConfigError(f"expected at least one step, got {num_steps!r}")
    if not (0 <= start <= 1 and 0 <= end <= 1) or start == end:
        raise ConfigError(f"expected two different times in [0, 1], got start={start} and end={end}")
    _check_factor(shift)
    even = torch.linspace(time_shift(start, 1 / shift), time_shift(end, 1 / shift), num_steps + 1, dtype=torch.float64)
    times = time_shift(even, shift).float()
    times[0], times[-1] = start, end
    steps = times.diff() if end > start else -times.diff()
    if not bool((steps > 0).all()):
        raise ConfigError(f"{num_steps} steps with shift {shift} fall together in float32; use fewer or a milder shift")
    return times


def _check_factor(factor: float) -> None:
    if not 0 < factor < math.inf:
        raise ConfigError(f"expected a time shift above 0, got {factor}; 1 leaves times as they are")
