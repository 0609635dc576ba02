"""One name for every solver: ordinary ones follow the velocity, those called ``sde-...`` add noise on the way."""

from collections.abc import Callable

from torch import Tensor

from flagdit_core.flow.samplers import SAMPLERS
from flagdit_core.flow.schedules import linear_times
from flagdit_core.flow.sde import SDE_SAMPLERS
from flagdit_core.flow.times import Callback, VelocityFunction
from flagdit_core.pipeline.settings import SDE_PREFIX, SamplingSettings


def solve(
    velocity: VelocityFunction,
    x: Tensor,
    settings: SamplingSettings,
    *,
    noise: Callable[[int], Tensor],
    callback: Callback,
) -> Tensor:
    """The state at t = 1 that a solver reaches.

    Args:
        velocity: (x, t) -> dx/dt.
        x: State at t = 0.
        settings: Names the solver, its steps, their spacing, and the process of a stochastic one.
        noise: Step index -> N(0, 1) noise of x's shape, for a stochastic solver.
        callback: Called after each of the ``num_inference_steps`` steps.

    Returns:
        The final state.
    """
    steps, shift = settings.num_inference_steps, settings.time_shift
    if not settings.is_stochastic:
        return SAMPLERS[settings.solver].function(velocity, x, linear_times(steps, shift=shift), callback=callback)
    sde = settings.sde
    steps -= sde.last_step != "none"  # the last step is one of those that were asked for
    first, last = sde.interval()
    times = linear_times(steps, shift=shift, start=first, end=last)
    sampler = SDE_SAMPLERS[settings.solver.removeprefix(SDE_PREFIX)]
    return sampler(velocity, x, times, sde=sde, noise=noise, callback=callback)
