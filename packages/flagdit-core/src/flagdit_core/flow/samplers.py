"""ODE samplers: from noise along a velocity to data, or back when the times decrease.

Each is a function ``(velocity, x, times, *, callback) -> x``; those with fixed steps are explicit Runge-Kutta tableaux
(Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I", section II.1). Collect the trajectory with the
callback.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from torch import Tensor

from flagdit_core.flow.dormand_prince import dopri5
from flagdit_core.flow.registry import lookup
from flagdit_core.flow.times import Callback, VelocityFunction, check_times, check_velocity


@dataclass(frozen=True, kw_only=True)
class Tableau:
    """An explicit Runge-Kutta method: k_i = v(x + h sum_j a_ij k_j, t + c_i h), x <- x + h sum_i b_i k_i.

    Attributes:
        stages: Rows a_i of the strictly lower triangle, the empty first one left out; c_i is the sum of a row.
        weights: b.
    """

    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


EULER: Final = Tableau(stages=(), weights=(1,))
MIDPOINT: Final = Tableau(stages=((1 / 2,),), weights=(0, 1))
HEUN: Final = Tableau(stages=((1,),), weights=(1 / 2, 1 / 2))
HEUN3: Final = Tableau(stages=((1 / 3,), (0, 2 / 3)), weights=(1 / 4, 0, 3 / 4))
RK4: Final = Tableau(stages=((1 / 2,), (0, 1 / 2), (0, 0, 1)), weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6))
RK4_38: Final = Tableau(stages=((1 / 3,), (-1 / 3, 1), (1, -1, 1)), weights=(1 / 8, 3 / 8, 3 / 8, 1 / 8))


class Sampler(Protocol):
    """A function that carries x along a velocity."""

    def __call__(
        self, velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None
    ) -> Tensor:
        """State at times[-1], from x at times[0]."""
        ...


def euler(velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None) -> Tensor:
    """State at times[-1] by Euler steps x <- x + h v(x, t): order 1, one evaluation a step.

    Args:
        velocity: (x, t) -> dx/dt.
        x: State at times[0], any shape and floating dtype.
        times: (num_steps + 1,) float32, strictly increasing, or decreasing for inversion.
        callback: Called after each step with (step index, time reached, x).

    Returns:
        State at times[-1], of x's shape and dtype.

    Raises:
        ConfigError: The times cannot be used.

    Example:
        >>> import torch
        >>> euler(lambda x, t: -x, torch.ones(1), torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.2500])
    """
    return _integrate(EULER, velocity, x, times, callback)


def midpoint(velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None) -> Tensor:
    """State at times[-1] by explicit midpoint steps: order 2, two evaluations a step. Arguments as ``euler``."""
    return _integrate(MIDPOINT, velocity, x, times, callback)


def heun(velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None) -> Tensor:
    """State at times[-1] by Heun's trapezoidal steps: order 2, two evaluations a step. Arguments as ``euler``."""
    return _integrate(HEUN, velocity, x, times, callback)


def heun3(velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None) -> Tensor:
    """State at times[-1] by Heun's third-order steps: three evaluations a step. Arguments as ``euler``."""
    return _integrate(HEUN3, velocity, x, times, callback)


def rk4(velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None) -> Tensor:
    """State at times[-1] by the classic Runge-Kutta tableau: order 4, four evaluations a step. As ``euler``."""
    return _integrate(RK4, velocity, x, times, callback)


def rk4_38(velocity: VelocityFunction, x: Tensor, times: Tensor, *, callback: Callback | None = None) -> Tensor:
    """State at times[-1] by the 3/8 rule, torchdiffeq's "rk4": order 4, four evaluations a step. As ``euler``."""
    return _integrate(RK4_38, velocity, x, times, callback)


@dataclass(frozen=True, kw_only=True)
class SamplerSpec:
    """A sampler and what it costs.

    Attributes:
        function: The sampler.
        order: Order of the error in the step size.
        evaluations_per_step: Velocity evaluations per step; None where the solver chooses its own steps.
    """

    function: Sampler
    order: int
    evaluations_per_step: int | None


SAMPLERS: Final[dict[str, SamplerSpec]] = {
    "euler": SamplerSpec(function=euler, order=1, evaluations_per_step=1),
    "midpoint": SamplerSpec(function=midpoint, order=2, evaluations_per_step=2),
    "heun": SamplerSpec(function=heun, order=2, evaluations_per_step=2),
    "heun3": SamplerSpec(function=heun3, order=3, evaluations_per_step=3),
    "rk4": SamplerSpec(function=rk4, order=4, evaluations_per_step=4),
    "rk4_38": SamplerSpec(function=rk4_38, order=4, evaluations_per_step=4),
    "dopri5": SamplerSpec(function=dopri5, order=5, evaluations_per_step=None),
}


def get_sampler(name: str) -> SamplerSpec:
    """The sampler called ``name``.

    Args:
        name: A key of ``SAMPLERS``.

    Returns:
        The function and what it costs.

    Raises:
        ConfigError: The name is unknown.

    Example:
        >>> get_sampler("midpoint").evaluations_per_step
        2
    """
    return lookup(SAMPLERS, name, "solver")


def invert(
    velocity: VelocityFunction,
    x: Tensor,
    times: Tensor,
    *,
    sampler: Sampler = midpoint,
    callback: Callback | None = None,
) -> Tensor:
    """The noise at times[0] that flows to x at times[-1]: the sampler run over the times from last to first.

    Args:
        velocity: (x, t) -> dx/dt.
        x: Data, or any state at times[-1].
        times: (num_steps + 1,) float32, strictly increasing, as they are for sampling.
        sampler: ODE sampler; sampling again returns x up to both runs' error.
        callback: Called after each step with (step index, time reached, x).

    Returns:
        State at times[0], of x's shape and dtype.

    Raises:
        ConfigError: The times cannot be used.
    """
    return sampler(velocity, x, times.flip(0), callback=callback)


def _integrate(
    tableau: Tableau, velocity: VelocityFunction, x: Tensor, times: Tensor, callback: Callback | None
) -> Tensor:
    times = check_times(times)
    exact = times.double()
    starts, steps = exact[:-1], exact.diff()
    nodes = [0.0, *map(sum, tableau.stages)]
    # All stage times at once, rounded once: no small copy to the device in the loop.
    stage_times = (starts[:, None] + steps[:, None] * starts.new_tensor(nodes)).to(times.dtype).to(x.device)
    reached = times[1:].tolist()
    for index, step in enumerate(steps.tolist()):
        slopes: list[Tensor] = []
        for row, time in zip(((), *tableau.stages), stage_times[index], strict=True):
            slopes.append(velocity(_advance(x, step, row, slopes), time))
            check_velocity(slopes[-1], x)
        x = _advance(x, step, tableau.weights, slopes)
        if callback is not None:
            callback(index, reached[index], x)
    return x


def _advance(x: Tensor, step: float, weights: Sequence[float], slopes: list[Tensor]) -> Tensor:
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            x = (x + (step * weight) * slope).to(x.dtype)
    return x
