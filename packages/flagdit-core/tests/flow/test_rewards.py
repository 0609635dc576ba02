"""The loss of rewards: its direction, its units, and what it leaves alone."""

import pytest
import torch

from flagdit_core import flow
from flagdit_core.errors import ConfigError, ShapeError

T = torch.tensor([0.25, 0.5, 0.8])
X1, X0, OUTPUT, REFERENCE = (torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(4))
REWARDS = torch.tensor([1.0, 0.5, 0.2])


def test_direction() -> None:
    """From the reference a step leads towards the target by 2 r - 1, whatever the size of the error."""
    output = REFERENCE.clone().requires_grad_()
    flow.reward_loss(output, REFERENCE, X1, X0, T, REWARDS).sum().backward()
    step, towards = -output.grad, X1 - X0 - REFERENCE
    toward_rms = towards.square().mean(1).sqrt()
    want = (2 * REWARDS - 1)[:, None] * towards * ((1 - T) * 2 / 4 / toward_rms)[:, None]
    torch.testing.assert_close(step, want)


def test_by_hand() -> None:
    """At beta = 1/2 the branches are the mean of output and reference, and as far on the other side."""
    target = X1 - X0
    good, bad = (REFERENCE + OUTPUT) / 2 - target, 1.5 * REFERENCE - OUTPUT / 2 - target
    rms_good, rms_bad = (error.square().mean(1).sqrt() for error in (good, bad))
    want = (1 - T) * (REWARDS * rms_good + (1 - REWARDS) * rms_bad)
    torch.testing.assert_close(flow.reward_loss(OUTPUT, REFERENCE, X1, X0, T, REWARDS, strength=0.5), want)
    listed = flow.reward_loss(list(OUTPUT), list(REFERENCE), list(X1), list(X0), T, REWARDS, strength=0.5)
    torch.testing.assert_close(listed, want)


@pytest.mark.parametrize("path", flow.PATHS.values(), ids=flow.PATHS)
def test_does_not_depend_on_the_prediction(path: flow.Path) -> None:
    """The same answers, told as velocity, noise, score or data, cost the same."""
    x_t = flow.interpolate(path, X0, X1, T)
    convert = {
        "velocity": flow.velocity_from,
        "noise": flow.noise_from,
        "score": flow.score_from,
        "data": flow.data_from,
    }
    losses = [
        flow.reward_loss(
            function("noise", OUTPUT, x_t, T, path),
            function("noise", REFERENCE, x_t, T, path),
            X1,
            X0,
            T,
            REWARDS,
            path=path,
            prediction=prediction,
        )
        for prediction, function in convert.items()
    ]
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0], rtol=1e-3, atol=1e-4)


def test_refusals() -> None:
    """A strength of nothing, and rewards that are not one for each sample."""
    with pytest.raises(ConfigError, match="strength must be above 0, got 0"):
        flow.reward_loss(OUTPUT, REFERENCE, X1, X0, T, REWARDS, strength=0.0)
    with pytest.raises(ShapeError, match=r"one reward per sample, got \(2,\) for 3 samples"):
        flow.reward_loss(OUTPUT, REFERENCE, X1, X0, T, REWARDS[:2])
