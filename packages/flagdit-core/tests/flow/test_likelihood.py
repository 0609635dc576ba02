"""Likelihoods against flows whose density is known."""

import math
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import pytest
import torch
from torch import Tensor

from flagdit_core import flow
from flagdit_core.errors import ConfigError

MATRIX = torch.tensor([[0.3, -0.8, 0.2], [0.5, -0.4, 0.1], [-0.2, 0.6, 0.7]])
DATA = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def linear_field(x: Tensor, t: Tensor) -> Tensor:
    """dx/dt = A x with a full matrix, so that x0 = exp(-A) x1 and log p(x1) = log N(x0) - tr A."""
    return x @ MATRIX.T


def linear_density(x1: Tensor) -> tuple[Tensor, Tensor]:
    """(log p(x1), x0) of the linear field."""
    x0 = x1 @ torch.matrix_exp(-MATRIX).T
    return -0.5 * (x0.square() + math.log(2 * math.pi)).sum(1) - MATRIX.trace(), x0


@pytest.mark.parametrize("name", ["rk4", "dopri5"])
def test_exact_likelihood_of_a_linear_flow(name: str) -> None:
    """Density and noise are the known ones, with a fixed-step and with an adaptive sampler."""
    sampler = {"rk4": flow.rk4, "dopri5": partial(flow.dopri5, rtol=1e-6)}[name]
    result = flow.log_likelihood(linear_field, DATA, flow.linear_times(20), sampler=sampler)
    log_prob, x0 = linear_density(DATA)
    torch.testing.assert_close(result.log_prob, log_prob, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result.x0, x0, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", [flow.LinearPath(), flow.GVPPath()], ids=["linear", "gvp"])
def test_exact_likelihood_of_gaussian_data(path: flow.Path) -> None:
    """The flow that matches N(m, s^2) gives data their Gaussian density; latents keep their shape."""
    mean, std = 0.7, 0.4

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        alpha, d_alpha, sigma, d_sigma = path.coefficients(t)
        slope = (alpha * d_alpha * std**2 + sigma * d_sigma) / ((alpha * std) ** 2 + sigma**2)
        return d_alpha * mean + slope * (x - alpha * mean)

    x1 = mean + std * torch.randn(3, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    result = flow.log_likelihood(velocity, x1, flow.linear_times(50))
    want = torch.distributions.Normal(mean, std).log_prob(x1).sum((1, 2, 3))
    torch.testing.assert_close(result.log_prob, want, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(result.x0, (x1 - mean) / std, rtol=1e-3, atol=1e-3)


def test_hutchinson_is_unbiased() -> None:
    """On a full matrix 500 probes come within five standard errors, sqrt(2 sum of off-diagonal^2 / n), of exact."""
    result = flow.log_likelihood(
        linear_field,
        DATA,
        flow.linear_times(2),
        divergence="hutchinson",
        num_probes=500,
        generator=torch.Generator().manual_seed(0),
    )
    symmetric = (MATRIX + MATRIX.T) / 2
    off_diagonal = (symmetric - symmetric.diag().diag()).square().sum()
    error = (result.log_prob - linear_density(DATA)[0]).abs().max()
    assert 0 < error < 5 * math.sqrt(2 * off_diagonal / 500)


@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad, nullcontext])
def test_the_callers_gradient_mode_does_not_matter(mode: type[AbstractContextManager], divergence: str) -> None:
    """The result is the same under no_grad, inference_mode and with gradients on, and holds no graph."""

    def run() -> Tensor:
        generator = torch.Generator().manual_seed(0)
        weight = torch.nn.Parameter(MATRIX)
        return flow.log_likelihood(
            lambda x, t: torch.tanh(x @ weight.T) * t,
            DATA.clone(),
            flow.linear_times(3),
            divergence=divergence,
            generator=generator,
        ).log_prob

    with mode():
        result = run()
    assert not result.requires_grad
    assert torch.equal(result, run())


def test_bad_arguments() -> None:
    """An unknown divergence, missing randomness and a velocity without gradient are refused."""
    times = flow.linear_times(2)
    with pytest.raises(ConfigError, match="one of: exact, hutchinson"):
        flow.log_likelihood(linear_field, DATA, times, divergence="trace")
    with pytest.raises(ConfigError, match="generator"):
        flow.log_likelihood(linear_field, DATA, times, divergence="hutchinson")
    with pytest.raises(ConfigError, match="differentiable"):
        flow.log_likelihood(lambda x, t: x.detach(), DATA, times)
