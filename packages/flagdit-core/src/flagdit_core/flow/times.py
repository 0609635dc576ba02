"""What every sampler asks of its times, and the kinds of function it takes."""

from collections.abc import Callable

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError

VelocityFunction = Callable[[Tensor, Tensor], Tensor]
"""(x, t) -> dx/dt in x's shape; t is 0-dim, in the dtype of the times (float32), on x's device."""

Callback = Callable[[int, float, Tensor], None]
"""(step index from 0, the time reached, x there) -> None, after each step; raise ``CancelledError`` to stop."""


def check_times(times: Tensor) -> Tensor:
    """The times on the CPU, checked.

    Args:
        times: (num_steps + 1,) float32 or float64, strictly increasing (sampling) or decreasing (inversion).

    Returns:
        The same values and dtype, on the CPU.

    Raises:
        ConfigError: They are not so.
    """
    if times.ndim != 1 or len(times) < 2:
        raise ConfigError(f"expected times of shape (num_steps + 1,) with at least one step, got {tuple(times.shape)}")
    if times.dtype not in (torch.float32, torch.float64):
        raise ConfigError(f"expected times in float32 or float64, got {times.dtype}; half precision rounds them")
    times = times.detach().cpu()
    steps = times.diff()
    if not bool(times.isfinite().all()) or not bool((steps > 0).all() or (steps < 0).all()):
        raise ConfigError(f"expected finite times that strictly increase or decrease, got {times.tolist()}")
    return times


def check_velocity(velocity: Tensor, x: Tensor) -> None:
    """Refuse a velocity that would only broadcast to the state.

    Args:
        velocity: What the velocity function returned.
        x: The state.

    Raises:
        ShapeError: The shapes differ.
    """
    if velocity.shape != x.shape:
        raise ShapeError(f"expected a velocity of the state's shape {tuple(x.shape)}, got {tuple(velocity.shape)}")
