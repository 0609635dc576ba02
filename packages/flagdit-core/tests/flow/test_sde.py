"""Stochastic samplers: marginals of a process with a known score, reproducibility, and what they refuse."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from flagdit_core import flow
from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.noise import latent_noise, step_noise

MEAN, STD = 1.5, 0.5
LAST_STEPS = ["none", "mean", "euler", "tweedie"]


def gaussian_velocity(path: flow.Path) -> flow.VelocityFunction:
    """The velocity that carries N(0, 1) to N(MEAN, STD^2) on the path, from the marginal N(a m, a^2 s^2 + sigma^2)."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        alpha, d_alpha, sigma, d_sigma = path.coefficients(t)
        variance = (alpha * STD) ** 2 + sigma**2
        slope = (alpha * d_alpha * STD**2 + sigma * d_sigma) / variance
        return d_alpha * MEAN + slope * (x - alpha * MEAN)

    return velocity


def sample(sde: flow.SDE, method: str, num_steps: int, num_samples: int) -> Tensor:
    """Draws of the whole process, from the right marginal at the first time."""
    generator = torch.Generator().manual_seed(0)
    first, last = sde.interval(eps=1e-3)
    alpha, _, sigma, _ = sde.path.coefficients(first)
    x = alpha * MEAN + torch.sqrt((alpha * STD) ** 2 + sigma**2) * torch.randn(num_samples, generator=generator)
    return flow.get_sde_sampler(method)(
        gaussian_velocity(sde.path),
        x,
        flow.linear_times(num_steps, start=first, end=last),
        sde=sde,
        noise=lambda step: torch.randn(num_samples, generator=generator),
    )


@pytest.mark.parametrize("method", flow.SDE_SAMPLERS)
@pytest.mark.parametrize("path", flow.PATHS.values(), ids=flow.PATHS)
@pytest.mark.parametrize("diffusion", flow.DIFFUSIONS)
def test_marginals_are_kept(diffusion: str, path: flow.Path, method: str) -> None:
    """With any diffusion the samples have the data's mean and standard deviation: drift and noise are in balance."""
    sde = flow.SDE(path=path, diffusion=diffusion, norm=0.8, last_step="euler", last_step_size=0.01)
    draws = sample(sde, method, 300, 20_000)
    assert float(draws.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(draws.std()) == pytest.approx(STD, abs=0.02)


def test_marginals_are_kept_under_a_time_shift() -> None:
    """Shifted steps still end where the last step begins."""
    sde = flow.SDE(diffusion="sigma", last_step="tweedie", last_step_size=0.01)
    first, last = sde.interval()
    generator = torch.Generator().manual_seed(0)
    draws = flow.stochastic_heun(
        gaussian_velocity(sde.path),
        torch.randn(20_000, generator=generator),
        flow.linear_times(200, shift=4.0, start=first, end=last),
        sde=sde,
        noise=lambda step: torch.randn(20_000, generator=generator),
    )
    assert float(draws.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(draws.std()) == pytest.approx(STD, abs=0.02)


@pytest.mark.parametrize(("method", "solver"), [("euler-maruyama", "euler"), ("heun", "heun")])
def test_without_diffusion_it_is_the_ode_sampler(method: str, solver: str) -> None:
    """As w goes to zero the steps become those of the solver of the same name."""
    sde = flow.SDE(norm=1e-12, diffusion="sigma", last_step="none")
    times, velocity, x = flow.linear_times(4, end=0.9), gaussian_velocity(sde.path), torch.tensor([0.3, -1.0])
    got = flow.get_sde_sampler(method)(velocity, x, times, sde=sde, noise=lambda step: torch.zeros(2))
    torch.testing.assert_close(got, flow.get_sampler(solver).function(velocity, x, times))


def test_noise_is_really_added() -> None:
    """The result depends on the noise: started from one point, draws spread."""
    sde = flow.SDE(diffusion="sigma")
    first, last = sde.interval()
    generator = torch.Generator().manual_seed(0)
    draws = flow.euler_maruyama(
        gaussian_velocity(sde.path),
        torch.zeros(1000),
        flow.linear_times(50, start=first, end=last),
        sde=sde,
        noise=lambda step: torch.randn(1000, generator=generator),
    )
    assert float(draws.std()) > 0.1


@pytest.mark.parametrize(("last_step", "method"), list(product(LAST_STEPS, flow.SDE_SAMPLERS)))
def test_last_steps(last_step: flow.sde.LastStep, method: str) -> None:
    """Without the noise of the steps, each last step is its formula at the last time."""
    sde = flow.SDE(diffusion="sigma", last_step=last_step, last_step_size=0.1)
    velocity, states = gaussian_velocity(sde.path), []
    result = flow.get_sde_sampler(method)(
        velocity,
        torch.tensor([0.3]),
        torch.tensor([0.0, 0.45, 0.9]),
        sde=sde,
        noise=lambda step: torch.zeros(1),
        callback=lambda step, t, x: states.append((step, t, x)),
    )
    x, t = states[1][2], torch.tensor(0.9)
    v = velocity(x, t)
    score = (t * v - x) / (1 - t)
    want = {
        "none": x,
        "mean": x + 0.1 * (v + (1 - t) * score),
        "euler": x + 0.1 * v,
        "tweedie": (x + (1 - t) ** 2 * score) / t,
    }[last_step]
    torch.testing.assert_close(result, want)
    reached = [(0, 0.45), (1, 0.9)] + ([] if last_step == "none" else [(2, 1.0)])
    assert [(step, pytest.approx(t)) for step, t, _ in states] == reached


def test_each_sample_is_reproducible_alone() -> None:
    """Sample 1 of a batch, with noise from (seed, index, step), is the same alone."""
    sde = flow.SDE()
    first, last = sde.interval()
    times, shape = flow.linear_times(6, start=first, end=last), (2, 4, 4)

    def run(indices: list[int]) -> Tensor:
        return flow.euler_maruyama(
            gaussian_velocity(sde.path),
            torch.stack([latent_noise(shape, seed=5, index=index) for index in indices]),
            times,
            sde=sde,
            noise=lambda step: torch.stack([step_noise(shape, seed=5, index=index, step=step) for index in indices]),
        )

    assert torch.equal(run([0, 1, 2])[1], run([1])[0])


def test_half_precision_state_keeps_its_dtype() -> None:
    """A bfloat16 state stays one, with times in float32."""
    sde = flow.SDE(diffusion="linear")
    first, last = sde.interval()

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        assert (x.dtype, t.dtype) == (torch.bfloat16, torch.float32)
        return -x

    x = torch.ones(4, dtype=torch.bfloat16)
    times = flow.linear_times(3, start=first, end=last)
    for sampler in flow.SDE_SAMPLERS.values():
        assert sampler(velocity, x, times, sde=sde, noise=lambda step: torch.ones(4)).dtype == torch.bfloat16


def test_the_authors_spelling_is_accepted() -> None:
    """Their misspelt form is the same diffusion."""
    t = torch.tensor([0.1, 0.6])
    theirs, ours = (flow.SDE(diffusion=name).weight(t) for name in ("inccreasing-decreasing", "increasing-decreasing"))
    assert torch.equal(theirs, ours)
    torch.testing.assert_close(ours, torch.sin(math.pi * t) ** 2)


@pytest.mark.parametrize("path", flow.PATHS.values(), ids=flow.PATHS)
@pytest.mark.parametrize(("diffusion", "last_step"), list(product(flow.DIFFUSIONS, LAST_STEPS)))
def test_default_interval_is_finite(diffusion: str, last_step: flow.sde.LastStep, path: flow.Path) -> None:
    """On its own interval every process runs to a finite result (the authors' SBDM does not)."""
    sde = flow.SDE(path=path, diffusion=diffusion, last_step=last_step)
    first, last = sde.interval()
    times = flow.linear_times(4, start=first, end=last)
    result = flow.euler_maruyama(
        gaussian_velocity(path), torch.zeros(3), times, sde=sde, noise=lambda step: torch.ones(3)
    )
    assert result.isfinite().all()


def test_interval_respects_eps() -> None:
    """A distance asked for is kept from both ends."""
    assert flow.SDE(last_step="none").interval(eps=0.2) == (0.2, 0.8)
    assert flow.SDE(last_step_size=0.1).interval() == (1e-3, 0.9)


@pytest.mark.parametrize(
    "options",
    [{"diffusion": "cosine"}, {"last_step": "Mean"}, {"norm": 0.0}, {"norm": math.nan}, {"last_step_size": 1.0}],
)
def test_settings_are_checked(options: dict[str, object]) -> None:
    """A process that cannot be run cannot be made."""
    with pytest.raises(ConfigError):
        flow.SDE(**options)


@pytest.mark.parametrize(
    ("sampler", "sde", "times", "message"),
    [
        ("euler-maruyama", flow.SDE(), [0.0, 0.9], "infinite at t = 0"),
        ("heun", flow.SDE(diffusion="sigma", last_step="none"), [0.0, 1.0], "infinite at t = 1"),
        ("heun", flow.SDE(diffusion="sigma"), [0.9, 0.1], "cannot run backwards"),
        ("heun", flow.SDE(diffusion="sigma"), [0.1, 0.99], "1 - last_step_size = 0.96"),
        ("milstein", flow.SDE(), [0.0, 0.9], "one of: euler-maruyama, heun"),
    ],
)
def test_what_cannot_be_run_is_refused(sampler: str, sde: flow.SDE, times: list[float], message: str) -> None:
    """No NaN: where the process is infinite, or would run past the data, the error says what to do."""
    with pytest.raises(ConfigError, match=message):
        flow.get_sde_sampler(sampler)(
            gaussian_velocity(sde.path), torch.zeros(1), torch.tensor(times), sde=sde, noise=lambda step: torch.zeros(1)
        )


def test_noise_of_another_shape_is_refused() -> None:
    """One value for all coordinates would only broadcast."""
    sde = flow.SDE(diffusion="sigma")
    with pytest.raises(ShapeError, match="noise"):
        flow.euler_maruyama(
            lambda x, t: x, torch.zeros(3), torch.tensor([0.0, 0.9]), sde=sde, noise=lambda step: torch.zeros(1)
        )
