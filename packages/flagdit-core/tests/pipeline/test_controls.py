"""Known parts and regions: what is given stays, and prompts act where they are meant to."""

import pytest
import torch

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.pipeline import Guide, Known, Region, SamplingSettings, generate_latents
from flagdit_core.report import Report

SHAPE = (4, 8, 8)
PROMPT, OTHER = "a red circle", "a blue square"


def draw(components, prompts=(PROMPT,), *, solver="euler", **controls):
    """Latents of these prompts at seed 3."""
    settings = SamplingSettings(num_inference_steps=3, guidance_scale=2.0, solver=solver)
    count = len(prompts)
    return generate_latents(
        components, prompts, [SHAPE] * count, settings, seeds=[3] * count, indices=[0] * count, report=Report(),
        **controls,
    )  # fmt: skip


def left_half():
    """True in the left half of every row."""
    mask = torch.zeros(1, 1, 8, dtype=torch.bool)
    mask[..., :4] = True
    return mask


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "rk4"])
def test_known_cells_are_kept_and_steer_the_others(components, solver):
    """At t = 1 known cells have their values, whatever the solver; the rest differs from what is made without them."""
    values = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    (free,) = draw(components, solver=solver)
    (made,) = draw(components, solver=solver, known=[Known(values=values, mask=left_half())])
    torch.testing.assert_close(made[..., :4], values[..., :4], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(made[..., 4:], free[..., 4:], atol=1e-3)


def test_samples_without_known_parts_are_untouched(components):
    """Beside a sample with known cells, one without is what it is alone."""
    values = torch.zeros(SHAPE)
    known = [None, Known(values=values, mask=left_half())]
    made = draw(components, [PROMPT, PROMPT], known=known)
    torch.testing.assert_close(made[0], draw(components)[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(made[0], made[1], atol=1e-3)


def test_bad_known_parts(components):
    """A mask that is no mask, a shape that does not fit, a wrong number of them, a solver with noise."""
    values, mask = torch.zeros(SHAPE), left_half()
    with pytest.raises(ConfigError, match=r"must be bool, got torch\.float32"):
        draw(components, known=[Known(values=values, mask=mask.float())])
    with pytest.raises(ShapeError, match=r"expected known values of shape \(4, 8, 8\)"):
        draw(components, known=[Known(values=values[:2], mask=mask)])
    with pytest.raises(ShapeError, match="expected the mask of a known part to broadcast"):
        draw(components, known=[Known(values=values, mask=mask[..., :3])])
    with pytest.raises(ConfigError, match="for each of 1 samples, got 2"):
        draw(components, known=[None, None])
    with pytest.raises(ConfigError, match="need a solver without noise, got 'sde-heun'"):
        draw(components, solver="sde-heun", known=[Known(values=values, mask=mask)])


def test_a_region_over_everything_is_its_prompt(components):
    """With weight 1 everywhere the region's prompt alone counts, and with weight 0 the sample's own."""
    (own,), (other,) = draw(components), draw(components, [OTHER])
    assert not torch.allclose(own, other, atol=1e-3)
    for weight, expected in ((1.0, other), (0.0, own)):
        (made,) = draw(components, regions=[[Region(prompt=OTHER, weight=torch.tensor(weight))]])
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_regions_of_one_sample_leave_the_others(components):
    """In a batch only the sample with a region changes."""
    regions = [[Region(prompt=OTHER, weight=left_half().float())], []]
    made, plain = draw(components, [PROMPT, PROMPT], regions=regions), draw(components)
    torch.testing.assert_close(made[1], plain[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(made[0], plain[0], atol=1e-3)


@pytest.mark.parametrize("weights", [(-0.5,), (0.7, 0.7)])
def test_bad_weights(components, weights):
    """Weights outside [0, 1], or that add up to more, are refused."""
    regions = [[Region(prompt=OTHER, weight=torch.tensor(weight)) for weight in weights]]
    with pytest.raises(ConfigError, match=r"must lie in \[0, 1\]"):
        draw(components, regions=regions)


def test_a_guide_leads_at_first_and_leaves_the_detail_to_the_network_in_the_end():
    """At t = 0 the way leads straight to it; at t = 1 the network moves all that the guide's cells cannot tell."""
    values, x, velocity = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Guide(values=values, cells=(4, 4)).follow(velocity, x, 0.0), values - x)
    arrived = Guide(values=x, cells=(4, 4))
    detail = torch.tensor([1.0, -1.0]).repeat(4).expand(SHAPE)  # of no mean in any cell of the guide
    torch.testing.assert_close(arrived.follow(detail, x, 1.0), detail)
    torch.testing.assert_close(arrived.follow(torch.ones(SHAPE), x, 1.0), torch.zeros(SHAPE))


@pytest.mark.parametrize("shape", [(4, 6), (4, 4, 6), (4, 3, 4, 6)])
def test_a_guide_of_as_many_cells_is_reached(shape):
    """Where nothing is finer than the guide, the sample ends at it, whatever the network says."""
    values, x, velocity = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    guide = Guide(values=values, cells=shape[1:])
    for t in (0.0, 0.3, 0.9):
        torch.testing.assert_close(guide.follow(velocity, x, t), (values - x) / (1 - t))


@pytest.mark.parametrize("solver", ["euler", "midpoint", "rk4", "dopri5", "sde-euler-maruyama"])
def test_guided_samples_resemble_their_guides(components, solver):
    """In each cell of its guide a sample has its mean, or nearly; noise aside, one without a guide has not."""
    values = torch.full(SHAPE, 5.0)
    (free,) = draw(components, solver=solver)
    (made,) = draw(components, solver=solver, guides=[Guide(values=values, cells=(2, 2))])
    assert abs(float(made.mean()) - 5) < 0.5
    assert abs(float(free.mean()) - 5) > 2
