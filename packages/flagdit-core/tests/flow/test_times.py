"""Sampling times and the distributions of training times."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError
from flagdit_core.flow import TimestepDistribution, linear_times, sample_timesteps, time_shift, transform_timesteps

factors = st.floats(0.05, 20)


@settings(deadline=None)
@given(t=st.floats(0, 1), first=factors, second=factors)
def test_shifts_compose_by_multiplication(t: float, first: float, second: float) -> None:
    """Shift f after g is shift f g: so 1 is the identity and 1 / f the inverse; 0 and 1 stay."""
    assert time_shift(time_shift(t, first), second) == pytest.approx(time_shift(t, first * second), abs=1e-12)
    assert time_shift(t, 1.0) == t
    assert (time_shift(0.0, first), time_shift(1.0, first)) == (0.0, 1.0)


@settings(deadline=None)
@given(num_steps=st.integers(1, 200), shift=factors)
def test_times_rise_from_noise_to_data(num_steps: int, shift: float) -> None:
    """There is one time more than steps, they strictly increase from 0 to 1, and reversed ends give them reversed."""
    times = linear_times(num_steps, shift=shift)
    assert times.shape == (num_steps + 1,)
    assert times.dtype == torch.float32
    assert (times[0], times[-1]) == (0, 1)
    assert (times.diff() > 0).all()
    torch.testing.assert_close(linear_times(num_steps, shift=shift, start=1.0, end=0.0), times.flip(0))


@settings(deadline=None)
@given(ends=st.tuples(st.floats(0, 1), st.floats(0, 1)), shift=factors)
def test_ends_are_where_they_were_asked_for(ends: tuple[float, float], shift: float) -> None:
    """Under any shift the times begin and end as asked, and unshifted they are evenly spaced."""
    start, end = ends
    assume(abs(start - end) > 0.05)
    times = linear_times(5, shift=shift, start=start, end=end)
    torch.testing.assert_close(times[[0, -1]], torch.tensor([start, end]), rtol=0, atol=0)
    steps = time_shift(times.double(), 1 / shift).diff()
    torch.testing.assert_close(steps, steps[:1].expand(5), rtol=1e-3, atol=1e-5)


def test_shift_puts_times_near_noise() -> None:
    """The values at factor 4 are t / (4 - 3 t)."""
    torch.testing.assert_close(linear_times(4, shift=4.0), torch.tensor([0, 1 / 13, 0.2, 3 / 7, 1]))


@pytest.mark.parametrize("num_steps", [0, -1, True, 2.0, math.nan])
def test_number_of_steps_is_checked(num_steps: object) -> None:
    """It is a whole number above zero."""
    with pytest.raises(ConfigError, match="at least one step"):
        linear_times(num_steps)


@pytest.mark.parametrize(
    "options", [{"shift": 0.0}, {"shift": -1.0}, {"shift": math.nan}, {"shift": math.inf}, {"start": 1.0}, {"end": 1.1}]
)
def test_schedule_options_are_checked(options: dict[str, float]) -> None:
    """Shifts are positive and finite, ends differ and lie in [0, 1]."""
    with pytest.raises(ConfigError, match="expected"):
        linear_times(4, **options)


def test_times_that_fall_together_are_refused() -> None:
    """Float32 cannot hold a million steps squeezed against t = 1."""
    with pytest.raises(ConfigError, match="fall together"):
        linear_times(1_000_000, shift=1e-3)


def quantiles(distribution: TimestepDistribution) -> torch.Tensor:
    """The quartiles of many draws."""
    draws = sample_timesteps(distribution, 40_000, generator=torch.Generator().manual_seed(0))
    assert distribution.low <= draws.min() <= draws.max() <= distribution.high
    return draws.quantile(torch.tensor([0.25, 0.5, 0.75]))


def test_distributions_have_their_quartiles() -> None:
    """Monotone maps carry the base law's quartiles along; drawn ones agree within five standard errors."""
    z = torch.tensor([-0.67449, 0.0, 0.67449])
    quartiles = torch.tensor([0.25, 0.5, 0.75])
    cases = [
        (TimestepDistribution(), quartiles),
        (TimestepDistribution(low=0.2, high=0.6), 0.2 + 0.4 * quartiles),
        (TimestepDistribution(shift=3.0), quartiles / (3 - 2 * quartiles)),
        (TimestepDistribution(kind="logit-normal", mean=-0.5, std=0.8), torch.sigmoid(-0.5 + 0.8 * z)),
    ]
    for distribution, want in cases:
        torch.testing.assert_close(quantiles(distribution), want, rtol=0, atol=0.015)


def test_times_follow_the_generator() -> None:
    """The same seed gives the same times; transform of the raw draws gives them too."""
    distribution = TimestepDistribution(kind="logit-normal", std=2.0, shift=2.0, low=0.1)
    first, second = (sample_timesteps(distribution, 8, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    raw = torch.randn(8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(transform_timesteps(distribution, raw), first)


@pytest.mark.parametrize(
    "options",
    [{"kind": "cosine"}, {"low": 0.5, "high": 0.5}, {"high": 1.5}, {"std": 0.0}, {"mean": math.nan}, {"shift": 0.0}],
)
def test_distribution_options_are_checked(options: dict[str, object]) -> None:
    """A distribution that cannot be drawn from cannot be made."""
    with pytest.raises(ConfigError):
        TimestepDistribution(**options)
