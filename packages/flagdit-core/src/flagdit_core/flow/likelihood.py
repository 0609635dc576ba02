"""Log-likelihood of data under the flow: the instantaneous change of variables (Chen et al. 2018, arXiv 1806.07366).

Legend: B samples, D dimensions of one sample.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.flow.samplers import Sampler, rk4
from flagdit_core.flow.times import VelocityFunction, check_velocity


class LogLikelihood(NamedTuple):
    """What the flow says of data.

    Attributes:
        log_prob: log p(x1) in nats, (B,).
        x0: The noise that the data come from, of the data's shape.
    """

    log_prob: Tensor
    x0: Tensor


def log_likelihood(
    velocity: VelocityFunction,
    x1: Tensor,
    times: Tensor,
    *,
    divergence: Literal["exact", "hutchinson"] = "exact",
    num_probes: int = 1,
    generator: Generator | None = None,
    sampler: Sampler = rk4,
) -> LogLikelihood:
    """Log-likelihood log p(x1) = log N(x0; 0, I) - integral of div v dt along the flow from x0 to x1.

    The exact divergence costs D backward passes an evaluation. Hutchinson's estimate z^T (dv/dx) z with Rademacher z
    (FFJORD, Grathwohl et al. 2019, arXiv 1810.01367) costs ``num_probes``; as there, z is drawn once per sample, so
    that an adaptive solver sees a smooth field. Gradients are switched on inside, whatever the caller's mode.

    Args:
        velocity: (x, t) -> dx/dt for x (B, ...), each sample on its own, differentiable in x.
        x1: Data (B, ...).
        times: (num_steps + 1,) float32, strictly increasing, as for sampling; followed backwards.
        divergence: "exact" or "hutchinson".
        num_probes: Rademacher vectors per sample, >= 1; used with "hutchinson".
        generator: Source of the probes, on any device; needed with "hutchinson".
        sampler: ODE sampler, fixed-step or adaptive.

    Returns:
        (log_prob (B,), x0), float32 or float64 as x1.

    Raises:
        ConfigError: The times or the divergence cannot be used, or the velocity does not depend differentiably on x.

    Example:
        >>> log_likelihood(lambda x, t: 0.0 * x, torch.zeros(1, 2), torch.tensor([0.0, 1.0])).log_prob
        tensor([-1.8379])
    """
    x1 = x1.detach().to(torch.promote_types(x1.dtype, torch.float32))
    trace = _trace(divergence, x1, num_probes, generator)

    def augmented(state_BD: Tensor, t: Tensor) -> Tensor:
        with torch.inference_mode(mode=False), torch.enable_grad():
            x = state_BD[:, :-1].reshape(x1.shape).clone().requires_grad_()
            slope = velocity(x, t.clone())
            check_velocity(slope, x)
            if not slope.requires_grad:
                raise ConfigError("expected a velocity differentiable in x, got one without gradient (no_grad in it?)")
            rate_B = trace(slope, x)
        return torch.cat([slope.detach().flatten(1), rate_B[:, None]], dim=1)

    start_BD = torch.cat([x1.flatten(1), x1.new_zeros(len(x1), 1)], dim=1)
    end_BD = sampler(augmented, start_BD, times.flip(0))
    x0_BD, minus_integral_B = end_BD[:, :-1], end_BD[:, -1]
    prior_B = -0.5 * (x0_BD.square() + math.log(2 * math.pi)).sum(1)
    return LogLikelihood(prior_B + minus_integral_B, x0_BD.reshape(x1.shape))


def _trace(
    divergence: str, x1: Tensor, num_probes: int, generator: Generator | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """(velocity, x) -> (B,): the trace of the Jacobian of each sample."""
    if divergence == "exact":
        return _exact_trace
    if divergence != "hutchinson":
        raise ConfigError(f"unknown divergence {divergence!r}; use one of: exact, hutchinson")
    if generator is None or num_probes < 1:
        raise ConfigError(f"expected a generator and num_probes >= 1 for hutchinson, got {generator} and {num_probes}")
    bits = torch.randint(2, (num_probes, *x1.shape), generator=generator, device=generator.device)
    probes = (2 * bits - 1).to(x1)

    def estimate(slope: Tensor, x: Tensor) -> Tensor:
        products = [(torch.autograd.grad(slope, x, probe, retain_graph=True)[0] * probe).flatten(1) for probe in probes]
        return torch.stack([product.sum(1) for product in products]).mean(0)

    return estimate


def _exact_trace(slope: Tensor, x: Tensor) -> Tensor:
    slope_BD = slope.flatten(1)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in slope_BD.unbind(1)]
    return torch.stack([row.flatten(1)[:, index] for index, row in enumerate(rows)]).sum(0)
