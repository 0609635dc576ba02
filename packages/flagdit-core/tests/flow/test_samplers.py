"""ODE samplers: measured orders, an independent oracle, inversion, callbacks, and what they refuse."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from flagdit_core.errors import BackendUnavailableError, CancelledError, ConfigError, FlagDiTError, ShapeError
from flagdit_core.flow import SAMPLERS, dopri5, euler, get_sampler, invert, linear_times, midpoint, rk4, rk4_38

FIXED = [name for name, spec in SAMPLERS.items() if spec.evaluations_per_step is not None]
every_sampler = pytest.mark.parametrize("name", SAMPLERS)
fixed_samplers = pytest.mark.parametrize("name", FIXED)


def logistic(x: Tensor, t: Tensor) -> Tensor:
    """Nonlinear and dependent on time, with solution 1 / (1 + c exp(-(t + t^2 / 2)))."""
    return x * (1 - x) * (1 + t)


def logistic_solution(x: Tensor, t: float) -> Tensor:
    """The state at t that starts as x at 0."""
    return 1 / (1 + (1 / x - 1) * math.exp(-(t + t**2 / 2)))


START = torch.tensor([0.1, 0.3, 0.8, 1.5], dtype=torch.float64)


@fixed_samplers
def test_order_is_what_the_table_says(name: str) -> None:
    """Halving the step divides the error by 2^order, in both directions of time."""
    spec = SAMPLERS[name]
    end = logistic_solution(START, 1.0)
    for start, target, first, last in ((START, end, 0.0, 1.0), (end, START, 1.0, 0.0)):
        errors = []
        for num_steps in (16, 32):
            times = linear_times(num_steps, start=first, end=last).double()
            errors.append(float((spec.function(logistic, start, times) - target).abs().max()))
        assert math.log2(errors[0] / errors[1]) == pytest.approx(spec.order, abs=0.25)


@fixed_samplers
def test_evaluations_are_what_the_table_says(name: str) -> None:
    """The velocity is called evaluations_per_step times a step."""
    spec, calls = SAMPLERS[name], []
    spec.function(lambda x, t: calls.append(t) or logistic(x, t), START, linear_times(5))
    assert len(calls) == 5 * spec.evaluations_per_step


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("euler", "euler"), ("midpoint", "midpoint"), ("heun", "heun2"), ("heun3", "heun3"), ("rk4_38", "rk4")],
)
def test_torchdiffeq_agrees(name: str, theirs: str) -> None:
    """On uneven times the states equal an independent implementation's to rounding."""
    times = linear_times(6, shift=3.0).double()
    want = odeint(lambda t, x: logistic(x, t), START, times, method=theirs)
    states = [START]
    SAMPLERS[name].function(logistic, START, times, callback=lambda step, t, x: states.append(x))
    torch.testing.assert_close(torch.stack(states), want, rtol=1e-12, atol=1e-12)


def test_the_two_tableaux_of_order_four_are_told_apart() -> None:
    """On dx/dt = t^4 the classic one is Simpson's rule and the other the 3/8 rule."""
    times, zero = torch.tensor([0.0, 1.0], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    quartic = {rk4: (4 / 16 + 1) / 6, rk4_38: (3 / 81 + 3 * 16 / 81 + 1) / 8}
    for sampler, want in quartic.items():
        assert sampler(lambda x, t: t.pow(4) + 0 * x, zero, times).item() == pytest.approx(want, rel=1e-12)


@every_sampler
def test_inversion_comes_back(name: str) -> None:
    """Data carried to noise and back is the data, within the solver's error; the noise is the true one."""
    sampler, times = SAMPLERS[name].function, linear_times(64)
    end = logistic_solution(START, 1.0).float()
    noise = invert(logistic, end, times, sampler=sampler)
    tolerance = {"rtol": 0, "atol": {"euler": 0.05, "dopri5": 0.02}.get(name, 2e-3)}  # dopri5: rtol 1e-3
    torch.testing.assert_close(noise, START.float(), **tolerance)
    torch.testing.assert_close(sampler(logistic, noise, times), end, **tolerance)


def test_invert_is_the_sampler_over_reversed_times() -> None:
    """Nothing else happens in it."""
    times = linear_times(8, shift=2.0)
    assert torch.equal(invert(logistic, START, times), midpoint(logistic, START, times.flip(0)))


@every_sampler
def test_half_precision_state_sees_exact_times(name: str) -> None:
    """The velocity gets a bfloat16 state and 1 / 7 in float32; a float32 velocity leaves the state bfloat16."""
    seen = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        assert (x.dtype, t.dtype, t.ndim) == (torch.bfloat16, torch.float32, 0)
        seen.append(float(t))
        return torch.ones(x.shape)

    result = SAMPLERS[name].function(velocity, torch.zeros(2, dtype=torch.bfloat16), torch.tensor([1 / 7, 0.5]))
    assert seen[0] == torch.tensor(1 / 7).item()
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, torch.full_like(result, 0.5 - 1 / 7))


@fixed_samplers
def test_callback_follows_the_steps(name: str) -> None:
    """After each step: its index, the time reached, and the state that a run up to there gives."""
    times, seen = linear_times(3, shift=2.0), []
    sampler = SAMPLERS[name].function
    result = sampler(logistic, START, times, callback=lambda step, t, x: seen.append((step, t, x)))
    assert [(step, t) for step, t, _ in seen] == list(enumerate(times[1:].tolist()))
    for step, _, x in seen:
        assert torch.equal(x, sampler(logistic, START, times[: step + 2]))
    assert torch.equal(seen[-1][2], result)


@every_sampler
def test_callback_can_cancel(name: str) -> None:
    """An error raised from the callback stops the run after the first step."""
    steps = []

    def cancel(step: int, t: float, x: Tensor) -> None:
        steps.append(step)
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        SAMPLERS[name].function(logistic, START, linear_times(5), callback=cancel)
    assert steps == [0]


def test_gradients_flow_through_a_sampler() -> None:
    """D x(1) / d x(0) of dx/dt = -x by two Euler steps is 1 / 4."""
    x = torch.ones(1, requires_grad=True)
    euler(lambda x, t: -x, x, linear_times(2)).sum().backward()
    assert x.grad.item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    "times",
    [
        torch.tensor([0.0]),
        torch.tensor(0.5),
        torch.zeros(2, 2),
        torch.tensor([0.0, 0.5, 0.5]),
        torch.tensor([0.0, 0.6, 0.5]),
        torch.tensor([0.0, math.nan]),
        torch.tensor([0.0, math.inf]),
        torch.tensor([0.0, 1.0], dtype=torch.bfloat16),
        torch.tensor([0, 1]),
    ],
    ids=str,
)
@every_sampler
def test_bad_times_are_refused(name: str, times: Tensor) -> None:
    """Times are 1-D, at least two, monotone, finite and in full precision."""
    with pytest.raises(ConfigError, match="expected"):
        SAMPLERS[name].function(logistic, START, times)


@every_sampler
def test_velocity_of_another_shape_is_refused(name: str) -> None:
    """A velocity that would only broadcast is an error."""
    with pytest.raises(ShapeError, match="velocity"):
        SAMPLERS[name].function(lambda x, t: x[:1], START, linear_times(2))


def test_unknown_solver_names_the_known_ones() -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError, match="'ddim'; use one of: euler, midpoint, heun"):
        get_sampler("ddim")


@pytest.mark.parametrize("stop_at_end", [False, True])
@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
def test_dopri5_keeps_its_tolerance(rtol: float, stop_at_end: bool) -> None:
    """The error against the known solution follows the tolerance asked for."""
    result = dopri5(logistic, START, linear_times(1).double(), rtol=rtol, atol=rtol, stop_at_end=stop_at_end)
    error = float((result - logistic_solution(START, 1.0)).abs().max())
    assert error < 5 * rtol


@pytest.mark.parametrize(("first", "last"), [(0.0, 1.0), (1.0, 0.0)])
def test_dopri5_can_be_kept_inside_its_interval(first: float, last: float) -> None:
    """With stop_at_end no velocity is asked for beyond the ends, where without it one is; both directions."""
    reached: dict[bool, list[float]] = {}
    for stop in (False, True):
        seen = reached.setdefault(stop, [])
        dopri5(
            lambda x, t, seen=seen: seen.append(float(t)) or logistic(x, t),
            logistic_solution(START, first),
            linear_times(1, start=first, end=last),
            stop_at_end=stop,
        )
    assert min(reached[True]) >= 0
    assert max(reached[True]) <= 1
    assert min(reached[False]) < 0 or max(reached[False]) > 1


def test_dopri5_keeps_its_first_trial_inside() -> None:
    """A velocity so small that the solver's first trial would leap to t = 10 is not asked for beyond the end."""
    seen: list[float] = []
    dopri5(lambda x, t: seen.append(float(t)) or 1e-3 * x, START, linear_times(1), stop_at_end=True)
    assert max(seen) <= 1


def test_dopri5_reports_each_accepted_step() -> None:
    """Indices count up, times increase to the end, states lie on the solution, and the last is the result."""
    seen = []
    result = dopri5(
        logistic, START, linear_times(1).double(), callback=lambda *step: seen.append(step), rtol=1e-8, atol=1e-8
    )
    assert [step for step, _, _ in seen] == list(range(len(seen)))
    times = [t for _, t, _ in seen]
    assert len(times) > 2
    assert times == sorted(set(times))
    assert times[-1] == 1.0
    for _, t, x in seen:
        torch.testing.assert_close(x, logistic_solution(START, t), rtol=1e-6, atol=1e-6)
    assert torch.equal(seen[-1][2], result)


def test_dopri5_says_that_a_velocity_is_not_finite() -> None:
    """NaN is an error of ours with the time, not an endless loop."""
    with pytest.raises(FlagDiTError, match="t = 0 is not finite"):
        dopri5(lambda x, t: x * math.nan, START, linear_times(1))


def test_dopri5_says_that_a_velocity_is_too_steep() -> None:
    """A step size that falls to nothing is an error of ours."""
    with pytest.raises(FlagDiTError, match="too steep"):
        dopri5(lambda x, t: x * x / (0.5 - t).abs().clamp_min(1e-30), torch.ones(1), linear_times(1))


def test_dopri5_checks_its_tolerances() -> None:
    """They are positive."""
    with pytest.raises(ConfigError, match="tolerances"):
        dopri5(logistic, START, linear_times(1), rtol=0.0)


def test_dopri5_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchdiffeq the error says what to install."""
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(BackendUnavailableError, match=r"flagdit-core\[ode\]"):
        dopri5(logistic, START, linear_times(1))


def test_flow_loads_without_torchdiffeq() -> None:
    """Importing every sampler leaves the optional dependency alone."""
    code = "import sys, flagdit_core.flow; sys.exit('torchdiffeq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
