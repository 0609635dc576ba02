"""Conversions between velocity, score, noise and data, and the intervals where they are finite."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.flow import (
    PATHS,
    LinearPath,
    Path,
    Prediction,
    VPPath,
    data_from,
    interpolate,
    interval,
    noise_from,
    score_drift,
    score_from,
    target_velocity,
    velocity_from,
)

CONVERT: dict[str, Callable[..., Tensor]] = {
    "velocity": velocity_from,
    "score": score_from,
    "noise": noise_from,
    "data": data_from,
}
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
one_time = st.floats(0.02, 0.98).map(lambda t: torch.tensor(t, dtype=torch.float64))
batch_of_times = st.lists(st.floats(0.02, 0.98), min_size=3, max_size=3).map(
    lambda t: torch.tensor(t, dtype=torch.float64)
)


def truth(path: Path, t: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """A state and all four quantities at it, from one pair of noise and data."""
    generator = torch.Generator().manual_seed(0)
    x0, x1 = (torch.randn(3, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = path.coefficients(t).sigma
    score = -x0 / (sigma.reshape(-1, 1, 1) if t.ndim else sigma)
    values = {"velocity": target_velocity(path, x0, x1, t), "score": score, "noise": x0, "data": x1}
    return interpolate(path, x0, x1, t), values


@every_path
@pytest.mark.parametrize(("source", "target"), list(product(CONVERT, CONVERT)))
@settings(deadline=None, max_examples=20)
@given(t=one_time | batch_of_times)
def test_every_conversion_is_right(path: Path, source: Prediction, target: str, t: Tensor) -> None:
    """Any of the four gives any other, at t scalar and (B,); so each conversion is the inverse of its opposite."""
    x, values = truth(path, t)
    torch.testing.assert_close(
        CONVERT[target](source, values[source], x, t, path), values[target], rtol=1e-7, atol=1e-7
    )


@every_path
@settings(deadline=None, max_examples=20)
@given(t=batch_of_times)
def test_velocity_is_mean_plus_variance_times_score(path: Path, t: Tensor) -> None:
    """The two drift terms put together give the velocity."""
    x, values = truth(path, t)
    mean, variance = score_drift(x, t, path)
    torch.testing.assert_close(mean + variance.reshape(-1, 1, 1) * values["score"], values["velocity"])


def test_lists_are_converted_item_by_item() -> None:
    """A list of unequal items gives what each gives alone."""
    outputs, states, t = [torch.ones(1, 2), torch.ones(1, 3)], [torch.zeros(1, 2), torch.zeros(1, 3)], [0.25, 0.5]
    got = velocity_from("data", outputs, states, torch.tensor(t), LinearPath())
    for item, time in zip(got, t, strict=True):
        torch.testing.assert_close(item, torch.full_like(item, 1 / (1 - time)))


@pytest.mark.parametrize("function", CONVERT.values(), ids=CONVERT)
def test_unknown_prediction_names_the_known_ones(function: Callable[..., Tensor]) -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError, match="'flow'; use one of: velocity, score, noise, data"):
        function("flow", torch.zeros(1), torch.zeros(1), 0.5, LinearPath())


@every_path
@pytest.mark.parametrize("prediction", CONVERT)
def test_velocity_is_finite_on_the_interval(path: Path, prediction: Prediction) -> None:
    """On the default interval, both ends included, every prediction has a finite velocity in float32."""
    x, output = torch.ones(1), torch.ones(1)
    for t in interval(path, prediction):
        assert velocity_from(prediction, output, x, t, path).isfinite().all()


def test_given_eps_is_respected() -> None:
    """A distance asked for is kept, also for velocity on the linear path, and only from ends that are singular."""
    assert interval(LinearPath(), "velocity", eps=0.1) == (0.1, 0.9)
    assert interval(VPPath(), "noise", eps=0.1) == (0.0, 0.9)
    with pytest.raises(ConfigError, match=r"eps in \[0, 0.5\)"):
        interval(LinearPath(), "velocity", eps=0.5)
