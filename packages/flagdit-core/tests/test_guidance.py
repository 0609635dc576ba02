"""Classifier-free guidance, its interval, its rescale and the authors' three channels."""

import math

import pytest
import torch
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.guidance import LatentVelocity, classifier_free_guidance
from flagdit_core.layout import Latents

GENERATOR = torch.Generator().manual_seed(0)
COND, UNCOND = (torch.randn(2, 4, 3, 5, generator=GENERATOR) for _ in range(2))
HALF = torch.tensor(0.5)


def guide(cond: Latents = COND, uncond: Latents = UNCOND, **options: object) -> tuple[LatentVelocity, list[str]]:
    """The guided velocity of constant velocities, and a record of which function was called."""
    calls: list[str] = []

    def both(latents: Latents, t: Tensor) -> tuple[Latents, Latents]:
        calls.append("both")
        return cond, uncond

    def conditional(latents: Latents, t: Tensor) -> Latents:
        calls.append("conditional")
        return cond

    return classifier_free_guidance(both, conditional, **options), calls


@pytest.mark.parametrize("scale", [0.0, 0.5, 4.0, -1.0])
def test_formula(scale: float) -> None:
    """All channels are v_u + scale (v_c - v_u), for a batch and for a list of unequal items."""
    velocity, _ = guide(scale=scale)
    torch.testing.assert_close(velocity(COND, HALF), UNCOND + scale * (COND - UNCOND))
    cond, uncond = [COND[0], COND[1, :, :2]], [UNCOND[0], UNCOND[1, :, :2]]
    velocity, _ = guide(cond, uncond, scale=scale)
    for got, c, u in zip(velocity(cond, HALF), cond, uncond, strict=True):
        torch.testing.assert_close(got, u + scale * (c - u))


def test_scale_one_runs_the_conditional_alone() -> None:
    """Where guidance changes nothing, the unconditional half is not paid for."""
    velocity, calls = guide(scale=1.0)
    assert velocity(COND, HALF) is COND
    assert calls == ["conditional"]


def test_interval() -> None:
    """Guidance acts between the two times, both included, also where float32 rounds them."""
    velocity, calls = guide(scale=4.0, interval=(0.3, 0.8))
    for t in (0.0, 0.29, 0.3, 0.5, 0.8, 0.81, 1.0):
        velocity(COND, torch.tensor(t))
    assert calls == ["conditional"] * 2 + ["both"] * 3 + ["conditional"] * 2


def test_three_channels() -> None:
    """The authors' mode guides the first three channels and keeps the fourth of the conditional half."""
    velocity, _ = guide(scale=4.0, channels=3)
    result = velocity(COND, HALF)
    torch.testing.assert_close(result[:, :3], (UNCOND + 4.0 * (COND - UNCOND))[:, :3])
    assert torch.equal(result[:, 3:], COND[:, 3:])


def test_rescale() -> None:
    """Fully rescaled, each sample has its conditional's standard deviation; in between it is the mixture."""
    plain = guide(scale=6.0)[0](COND, HALF)
    full = guide(scale=6.0, rescale=1.0)[0](COND, HALF)
    half = guide(scale=6.0, rescale=0.5)[0](COND, HALF)
    torch.testing.assert_close(full.flatten(1).std(1), COND.flatten(1).std(1))
    torch.testing.assert_close(half, (plain + full) / 2)
    assert (plain.flatten(1).std(1) > 2 * full.flatten(1).std(1)).all()


def test_rescale_of_a_network_that_says_zero() -> None:
    """A freshly initialised network predicts zero; the rescale leaves it zero."""
    zero = torch.zeros(1, 4, 2, 2)
    assert torch.equal(guide(zero, zero, scale=4.0, rescale=0.7)[0](zero, HALF), zero)


def test_half_precision_is_guided_in_float32() -> None:
    """bfloat16 velocities are combined in float32 and rounded once."""
    cond, uncond = COND.bfloat16(), UNCOND.bfloat16()
    result = guide(cond, uncond, scale=7.5)[0](cond, HALF)
    assert torch.equal(result, (uncond.float() + 7.5 * (cond.float() - uncond.float())).bfloat16())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": math.nan}, "finite guidance scale"),
        ({"scale": math.inf}, "finite guidance scale"),
        ({"scale": 4.0, "interval": (0.8, 0.3)}, "guidance interval"),
        ({"scale": 4.0, "interval": (0.0, 1.5)}, "guidance interval"),
        ({"scale": 4.0, "interval": (math.nan, 1.0)}, "guidance interval"),
        ({"scale": 4.0, "rescale": 1.5}, "guidance rescale"),
        ({"scale": 4.0, "rescale": math.nan}, "guidance rescale"),
        ({"scale": 4.0, "channels": 0}, "at least one guided channel"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    """Each is one line that says what was expected."""
    with pytest.raises(ConfigError, match=message):
        guide(**options)


def test_more_channels_than_there_are_is_refused() -> None:
    """Guiding five of four channels is a mistake, not all of them."""
    velocity, _ = guide(scale=4.0, channels=5)
    with pytest.raises(ConfigError, match="at most the 4 channels"):
        velocity(COND, HALF)
