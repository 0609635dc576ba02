"""The adaptive sampler, through torchdiffeq."""

import math

import torch
from torch import Tensor

from flagdit_core.errors import BackendUnavailableError, ConfigError, FlagDiTError
from flagdit_core.flow.times import Callback, VelocityFunction, check_times, check_velocity


def dopri5(
    velocity: VelocityFunction,
    x: Tensor,
    times: Tensor,
    *,
    callback: Callback | None = None,
    rtol: float = 1e-3,
    atol: float = 1e-6,
    stop_at_end: bool = False,
) -> Tensor:
    """State at times[-1] by Dormand and Prince's method of order 5 with steps of its own choice.

    The root mean square over the whole state of error / (atol + rtol |x|) is held below 1 in each step, so samples
    of one batch influence each other's steps. The state is carried in at least float32. As in the authors' sampler the
    last step may reach past times[-1], where the velocity is evaluated too, and is interpolated back.

    Args:
        velocity: (x, t) -> dx/dt, called with x in the dtype given here.
        x: State at times[0], any shape and floating dtype.
        times: (num_steps + 1,) float32; only the first and the last matter. Decreasing for inversion.
        callback: Called after each accepted step with (step index, time reached, x).
        rtol: Relative tolerance, > 0.
        atol: Absolute tolerance, > 0.
        stop_at_end: Shorten the last step to end at times[-1], and evaluate the velocity nowhere beyond.

    Returns:
        State at times[-1], of x's shape and dtype.

    Raises:
        BackendUnavailableError: torchdiffeq is not installed.
        ConfigError: The times or the tolerances cannot be used.
        FlagDiTError: The velocity is not finite, or the step size fell to nothing.
    """
    try:
        from torchdiffeq import odeint
    except ImportError as error:
        message = "the dopri5 solver needs torchdiffeq: pip install 'flagdit-core[ode]', or use a fixed-step solver"
        raise BackendUnavailableError(message) from error
    if not (0 < rtol < math.inf and 0 < atol < math.inf):
        raise ConfigError(f"expected tolerances above 0, got rtol={rtol} and atol={atol}")
    ends = check_times(times)[[0, -1]].to(x.device)
    state = x.to(torch.promote_types(x.dtype, torch.float32))
    field = _Field(velocity, x.dtype, ends, callback, stop_at_end)
    options = {"step_t": ends[1:]} if stop_at_end else None
    try:
        result = odeint(field, state, ends, rtol=rtol, atol=atol, method="dopri5", options=options)
    except AssertionError as error:
        if "underflow" not in str(error):
            raise
        message = "dopri5's step size fell to nothing: the velocity is too steep; use a fixed-step solver"
        raise FlagDiTError(message) from error
    end: Tensor = result[-1].to(x.dtype)
    field.report(ends[1], end)
    return end


class _Field:
    """The velocity in torchdiffeq's form (t, x), which tells the callback of each accepted step."""

    def __init__(
        self,
        velocity: VelocityFunction,
        dtype: torch.dtype,
        ends: Tensor,
        callback: Callback | None,
        stop_at_end: bool,
    ) -> None:
        self.velocity, self.dtype, self.callback = velocity, dtype, callback
        self.low, self.high, self.stop_at_end = ends.min(), ends.max(), stop_at_end
        self.accepted = 0

    def __call__(self, time: Tensor, state: Tensor) -> Tensor:
        time = time.to(self.low.dtype)
        if self.stop_at_end:  # the solver's trial of a first step knows no end
            time = time.clamp(self.low, self.high)
        slope = self.velocity(state.to(self.dtype), time)
        check_velocity(slope, state)
        if self.low <= time <= self.high and not bool(slope.isfinite().all()):
            raise FlagDiTError(f"the velocity at t = {float(time):.6g} is not finite")
        return slope.to(state.dtype)

    def callback_accept_step(self, time: Tensor, state: Tensor, _step: Tensor) -> None:
        """Hook of torchdiffeq, called with where the accepted step began: where the one before it ended."""
        if self.accepted:
            self.report(time, state.to(self.dtype))
        self.accepted += 1

    def report(self, time: Tensor, state: Tensor) -> None:
        if self.callback is not None:
            self.callback(self.accepted - 1, float(time), state)
