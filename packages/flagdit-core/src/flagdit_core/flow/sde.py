"""Stochastic samplers: dx = (v + w score) dt + sqrt(2 w) dW, whose marginals are those of dx = v dt for any w(t) >= 0.

SiT (Ma et al. 2024, arXiv 2401.08740) derives the family and compares the diffusions w. Increasing times only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.flow.intervals import SAMPLING_EPS, interval
from flagdit_core.flow.paths import LinearPath, Path
from flagdit_core.flow.predictions import Prediction, data_from, score_from
from flagdit_core.flow.registry import lookup
from flagdit_core.flow.times import Callback, VelocityFunction, check_times, check_velocity

LastStep = Literal["none", "mean", "euler", "tweedie"]
NoiseFunction = Callable[[int], Tensor]
"""step index -> N(0, 1) noise of the state's shape; ``noise.step_noise`` makes it reproducible for each sample."""

DIFFUSIONS: Final[dict[str, Callable[[Path, Tensor, float], Tensor]]] = {
    "constant": lambda path, t, norm: torch.full_like(t, norm),
    "SBDM": lambda path, t, norm: norm * path.coefficients(t).sigma * path.determinant(t) / path.coefficients(t).alpha,
    "sigma": lambda path, t, norm: norm * path.coefficients(t).sigma,
    "linear": lambda path, t, norm: norm * (1 - t),
    "decreasing": lambda path, t, norm: (norm * torch.cos(math.pi * t) + 1) ** 2 / 4,
    "increasing-decreasing": lambda path, t, norm: norm * torch.sin(math.pi * t) ** 2,
}
"""w(t) by name; "SBDM" is half the squared diffusion of the forward process."""

SPELLINGS: Final = {"inccreasing-decreasing": "increasing-decreasing"}
"""The authors' spelling, which configurations of theirs contain."""


@dataclass(frozen=True, kw_only=True)
class SDE:
    """The stochastic process and how it ends.

    Attributes:
        path: The path that the velocity belongs to.
        diffusion: Form of w, a key of ``DIFFUSIONS`` (or the authors' spelling of one).
        norm: Scale of w, > 0.
        last_step: What brings the state from the last time to data, without noise: "mean" follows the SDE's drift over
            ``last_step_size``, "euler" the velocity, "tweedie" jumps to the expected data, "none" leaves the state.
        last_step_size: Time left to the last step, in (0, 1); not used with "none".
    """

    path: Path = LinearPath()  # noqa: RUF009 - frozen and without state
    diffusion: str = "SBDM"
    norm: float = 1.0
    last_step: LastStep = "mean"
    last_step_size: float = 0.04

    def __post_init__(self) -> None:
        lookup(DIFFUSIONS, SPELLINGS.get(self.diffusion, self.diffusion), "diffusion")
        if self.last_step not in get_args(LastStep):
            raise ConfigError(f"unknown last step {self.last_step!r}; use one of: {', '.join(get_args(LastStep))}")
        if not 0 < self.norm < math.inf or not 0 < self.last_step_size < 1:
            raise ConfigError(
                f"expected norm > 0 and last_step_size in (0, 1), got {self.norm} and {self.last_step_size}"
            )

    def weight(self, t: Tensor) -> Tensor:
        """w(t), of the shape of t (float32)."""
        return DIFFUSIONS[SPELLINGS.get(self.diffusion, self.diffusion)](self.path, t, self.norm)

    def drift(self, velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """V + w score, for a velocity at (x, t) with t scalar or (B,)."""
        score = score_from("velocity", velocity, x, t, self.path)
        assert isinstance(score, Tensor)
        weight = self.weight(t)
        return velocity + (weight.reshape(-1, *(1,) * (x.ndim - 1)) if weight.ndim else weight) * score

    def interval(self, prediction: Prediction = "velocity", *, eps: float | None = None) -> tuple[float, float]:
        """(first, last) time of the stochastic steps; the last step then covers the rest.

        Args:
            prediction: What the network predicts.
            eps: Distance to keep from the ends, as in ``intervals.interval``; where w is infinite at t = 0 (SBDM on
                the linear and GVP paths), None stands for 1e-3 there.

        Returns:
            Times with 0 <= first < last <= 1.
        """
        first, last = interval(self.path, prediction, eps=eps)
        if eps is None and not bool(self.weight(torch.tensor(first)).isfinite()):
            first = SAMPLING_EPS
        return first, last if self.last_step == "none" else 1 - self.last_step_size


class SDESampler(Protocol):
    """A function that carries x along a stochastic process."""

    def __call__(
        self,
        velocity: VelocityFunction,
        x: Tensor,
        times: Tensor,
        *,
        sde: SDE,
        noise: NoiseFunction,
        callback: Callback | None = None,
    ) -> Tensor:
        """State at the end of the process, from x at times[0]."""
        ...


def euler_maruyama(
    velocity: VelocityFunction,
    x: Tensor,
    times: Tensor,
    *,
    sde: SDE,
    noise: NoiseFunction,
    callback: Callback | None = None,
) -> Tensor:
    """Data by Euler-Maruyama steps x <- x + drift(x, t) h + sqrt(2 w(t) h) z and the last step.

    Args:
        velocity: (x, t) -> dx/dt; wrap a network that predicts otherwise in ``predictions.velocity_from``.
        x: State at times[0], (B, ...) or any shape that the velocity takes.
        times: (num_steps + 1,) float32, strictly increasing; ``linear_times`` over ``sde.interval()``.
        sde: The process and its last step.
        noise: step index -> z.
        callback: Called after each step, and after the last step, with (step index, time reached, x).

    Returns:
        State after the last step, of x's shape and dtype.

    Raises:
        ConfigError: The times cannot be used with this process.
        ShapeError: The velocity or the noise has another shape than x.

    Example:
        >>> sde = SDE(diffusion="sigma", last_step="none")
        >>> times = torch.tensor([0.0, 0.5])
        >>> euler_maruyama(lambda x, t: -x, torch.ones(1), times, sde=sde, noise=lambda step: torch.zeros(1))
        tensor([0.])
    """

    def step(x: Tensor, t: Tensor, t_next: Tensor, z: Tensor) -> Tensor:
        return x + _drift(sde, velocity, x, t) * (t_next - t) + torch.sqrt(2 * sde.weight(t) * (t_next - t)) * z

    return _integrate(step, velocity, x, times, sde, noise, callback, evaluates_end=False)


def stochastic_heun(
    velocity: VelocityFunction,
    x: Tensor,
    times: Tensor,
    *,
    sde: SDE,
    noise: NoiseFunction,
    callback: Callback | None = None,
) -> Tensor:
    """Data by Heun steps: the noise of ``euler_maruyama`` first, then a trapezoidal step of the drift. As there.

    It evaluates the drift at times[-1] too, where the score must be finite.
    """

    def step(x: Tensor, t: Tensor, t_next: Tensor, z: Tensor) -> Tensor:
        x = x + torch.sqrt(2 * sde.weight(t) * (t_next - t)) * z
        first = _drift(sde, velocity, x, t)
        second = _drift(sde, velocity, x + first * (t_next - t), t_next)
        return x + (first + second) * ((t_next - t) / 2)

    return _integrate(step, velocity, x, times, sde, noise, callback, evaluates_end=True)


SDE_SAMPLERS: Final[dict[str, SDESampler]] = {"euler-maruyama": euler_maruyama, "heun": stochastic_heun}


def get_sde_sampler(name: str) -> SDESampler:
    """The stochastic sampler called ``name``.

    Args:
        name: "euler-maruyama" or "heun".

    Returns:
        The sampler.

    Raises:
        ConfigError: The name is unknown.
    """
    return lookup(SDE_SAMPLERS, name, "stochastic solver")


def _integrate(
    step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    velocity: VelocityFunction,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    noise: NoiseFunction,
    callback: Callback | None,
    *,
    evaluates_end: bool,
) -> Tensor:
    times = check_times(times)
    _check_finite(sde, times, evaluates_end)
    reached, times = times.tolist(), times.to(x.device)
    num_steps = len(reached) - 1
    for index in range(num_steps):
        z = noise(index)
        if z.shape != x.shape:
            raise ShapeError(f"expected noise of the state's shape {tuple(x.shape)}, got {tuple(z.shape)}")
        x = step(x, times[index], times[index + 1], z.to(x)).to(x.dtype)
        if callback is not None:
            callback(index, reached[index + 1], x)
    if sde.last_step != "none":
        x = _last_step(sde, velocity, x, times[-1]).to(x.dtype)
        if callback is not None:
            callback(num_steps, reached[-1] + sde.last_step_size, x)
    return x


def _drift(sde: SDE, velocity: VelocityFunction, x: Tensor, t: Tensor) -> Tensor:
    slope = velocity(x, t)
    check_velocity(slope, x)
    return sde.drift(slope, x, t)


def _last_step(sde: SDE, velocity: VelocityFunction, x: Tensor, t: Tensor) -> Tensor:
    slope = velocity(x, t)
    check_velocity(slope, x)
    match sde.last_step:
        case "mean":
            return x + sde.last_step_size * sde.drift(slope, x, t)
        case "euler":
            return x + sde.last_step_size * slope
        case "tweedie":
            data = data_from("velocity", slope, x, t, sde.path)
            assert isinstance(data, Tensor)
            return data
    raise AssertionError(sde.last_step)


def _check_finite(sde: SDE, times: Tensor, evaluates_end: bool) -> None:
    """The process must be finite wherever it is evaluated."""
    if bool(times[0] > times[-1]):
        raise ConfigError("expected increasing times: a stochastic sampler cannot run backwards; use an ODE sampler")
    if sde.last_step != "none" and float(times[-1]) + sde.last_step_size > 1 + 1e-6:
        raise ConfigError(
            f"expected times to end at or before 1 - last_step_size = {1 - sde.last_step_size:.6g}, got "
            f"{float(times[-1]):.6g}; take them from sde.interval()"
        )
    evaluated = times if evaluates_end else times[:-1]
    infinite = ~(sde.weight(evaluated).isfinite() & (sde.path.coefficients(evaluated).sigma > 0))
    if bool(infinite.any()):
        raise ConfigError(
            f"the {sde.diffusion} process is infinite at t = {float(evaluated[infinite][0]):.6g}; take the times from "
            "sde.interval(eps=1e-3)"
        )
