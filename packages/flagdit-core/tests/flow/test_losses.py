"""Losses against numbers worked out by hand, and the meaning of the weightings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core import flow
from flagdit_core.errors import ConfigError, ShapeError

T = torch.tensor([0.25, 0.5])
X1, X0 = torch.tensor([[2.0, 2.0], [4.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
OUTPUT = torch.tensor([[1.0, 2.0], [1.0, 1.0]])

# On the linear path W = 1. Errors of OUTPUT, sample by sample: velocity - (x1 - x0) = (0, 1), (-3, -3); noise - x0 =
# (0, 1), (1, 1); (1 - t) score + x0 = (1.75, 2.5), (0.5, 0.5); data - x1 = (-1, 0), (-3, -3). Velocity weights: 1;
# 1 / t^2 = 16, 4; 1 / (1 - t)^2 = 16 / 9, 4. Likelihood multiplies by t / (1 - t) = 1 / 3, 1.
BY_HAND = {
    ("velocity", "none"): [0.5, 9.0],
    ("velocity", "velocity"): [0.5, 9.0],
    ("velocity", "likelihood"): [0.5 / 3, 9.0],
    ("noise", "none"): [0.5, 1.0],
    ("noise", "velocity"): [8.0, 4.0],
    ("noise", "likelihood"): [8.0 / 3, 4.0],
    ("score", "none"): [4.65625, 0.25],
    ("score", "velocity"): [74.5, 1.0],
    ("score", "likelihood"): [74.5 / 3, 1.0],
    ("data", "none"): [0.5, 9.0],
    ("data", "velocity"): [8.0 / 9, 36.0],
    ("data", "likelihood"): [8.0 / 27, 36.0],
}


@pytest.mark.parametrize(("prediction", "weighting"), BY_HAND)
def test_losses_by_hand(prediction: flow.Prediction, weighting: flow.Weighting) -> None:
    """Every prediction and weighting gives the numbers above, for a batch and for a list."""
    want = torch.tensor(BY_HAND[prediction, weighting])
    options = {"prediction": prediction, "weighting": weighting}
    torch.testing.assert_close(flow.prediction_loss(OUTPUT, X1, X0, T, **options), want)
    listed = flow.prediction_loss(list(OUTPUT), list(X1), list(X0), T, **options)
    torch.testing.assert_close(listed, want)


@pytest.mark.parametrize("path", flow.PATHS.values(), ids=flow.PATHS)
@settings(deadline=None, max_examples=20)
@given(t=st.lists(st.floats(0.05, 0.95), min_size=2, max_size=2))
def test_weighted_losses_do_not_depend_on_the_prediction(path: flow.Path, t: list[float]) -> None:
    """One guess, told as velocity, noise, score or data, costs the same under "velocity" and under "likelihood"."""
    time = torch.tensor(t)
    x_t = flow.interpolate(path, X0, X1, time)
    convert = {
        "velocity": flow.velocity_from,
        "noise": flow.noise_from,
        "score": flow.score_from,
        "data": flow.data_from,
    }
    for weighting in ("velocity", "likelihood"):
        losses = [
            flow.prediction_loss(
                function("noise", OUTPUT, x_t, time, path),
                X1,
                X0,
                time,
                path=path,
                prediction=prediction,
                weighting=weighting,
            )
            for prediction, function in convert.items()
        ]
        for loss in losses[1:]:
            torch.testing.assert_close(loss, losses[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("path", flow.PATHS.values(), ids=flow.PATHS)
def test_likelihood_weighting_is_the_diffusion_times_the_squared_score_error(path: flow.Path) -> None:
    """The definition: SBDM's w(t) times the mean squared error of the score."""
    x_t = flow.interpolate(path, X0, X1, T)
    sigma = path.coefficients(T).sigma[:, None]
    score = flow.score_from("velocity", OUTPUT, x_t, T, path)
    want = flow.SDE(path=path, diffusion="SBDM").weight(T) * (score + X0 / sigma).square().mean(1)
    got = flow.prediction_loss(OUTPUT, X1, X0, T, path=path, weighting="likelihood")
    torch.testing.assert_close(got, want)


def test_model_sees_the_mixed_state_and_each_time() -> None:
    """The model is called once, with x_t and t, and the loss is that of its output, with gradients."""
    parameter = torch.tensor(0.5, requires_grad=True)
    calls = []

    def model(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append((x, t))
        return parameter * x

    losses = flow.flow_matching_loss(model, X1, X0, T)
    torch.testing.assert_close(calls[0][0], flow.interpolate(flow.LinearPath(), X0, X1, T))
    assert calls[0][1] is T
    assert len(calls) == 1
    losses.sum().backward()
    want = 2 * ((0.5 * calls[0][0] - (X1 - X0)) * calls[0][0]).mean(1).sum()
    torch.testing.assert_close(parameter.grad, want)


def test_half_precision_output_is_compared_in_float32() -> None:
    """A bfloat16 output costs what the same values in float32 cost, to the last bit."""
    output = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    x1, x0 = torch.full((2, 64), 1.001), torch.zeros(2, 64)
    got, want = (flow.prediction_loss(value, x1, x0, T) for value in (output, output.float()))
    assert got.dtype == torch.float32
    assert torch.equal(got, want)


def test_bad_arguments() -> None:
    """Unknown names, a scalar time and an output that would only broadcast are refused."""
    with pytest.raises(ConfigError, match="'flow'; use one of: velocity, score, noise, data"):
        flow.prediction_loss(OUTPUT, X1, X0, T, prediction="flow")
    with pytest.raises(ConfigError, match="'snr'; use one of: none, velocity, likelihood"):
        flow.prediction_loss(OUTPUT, X1, X0, T, weighting="snr")
    with pytest.raises(ShapeError, match="one time per sample"):
        flow.prediction_loss(OUTPUT, X1, X0, torch.tensor(0.5))
    with pytest.raises(ShapeError):
        flow.prediction_loss(OUTPUT[:, :1], X1, X0, T)
