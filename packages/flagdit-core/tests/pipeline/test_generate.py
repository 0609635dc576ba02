"""Prompts to latents: what decides a sample, and what the report says about it."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from flagdit_core.errors import CancelledError, ConfigError, FlagDiTError, OutOfMemoryError, ShapeError, StrictError
from flagdit_core.noise import latent_noise
from flagdit_core.pipeline import Components, SamplingSettings, generate, generate_latents
from flagdit_core.pipeline.settings import SOLVERS
from flagdit_core.report import Report
from flagdit_kernels import explain

SHAPE = (4, 8, 8)
PROMPTS = ["a red circle", "a blue ring", "two"]
SHAPES = [SHAPE, (4, 4, 12), (4, 6, 2)]
SEEDS, INDICES = [7, 7, 2**40], [0, 3, 1]


def sample(components: Components, prompts: list[str], shapes: list[tuple[int, ...]], **changes: Any) -> list[Tensor]:
    """Sampled latents, with settings and arguments by name."""
    names = {field.name for field in dataclasses.fields(SamplingSettings)}
    settings = components.sampling.replace(**{name: value for name, value in changes.items() if name in names})
    arguments: dict[str, Any] = {"seeds": [0] * len(prompts), "indices": [0] * len(prompts), "report": Report()}
    arguments |= {name: value for name, value in changes.items() if name not in names}
    return generate_latents(components, prompts, shapes, settings, **arguments)


@pytest.mark.parametrize("solver", [solver for solver in SOLVERS if solver != "dopri5"])
def test_a_sample_does_not_depend_on_its_batch(components: Components, solver: str) -> None:
    """Unequal sizes, prompts and seeds in one packed batch give what each gives alone, in any order.

    Not so dopri5, whose steps follow the whole batch.
    """
    together = sample(components, PROMPTS, SHAPES, seeds=SEEDS, indices=INDICES, solver=solver)
    for number in (2, 0, 1):
        alone = sample(
            components,
            [PROMPTS[number]],
            [SHAPES[number]],
            seeds=[SEEDS[number]],
            indices=[INDICES[number]],
            solver=solver,
        )
        torch.testing.assert_close(alone[0], together[number], rtol=1e-4, atol=1e-4)


def test_prompt_seed_index_and_negative_prompt_each_matter(components: Components) -> None:
    """Changing any one of them changes the sample, so that none is ignored."""
    base = sample(components, ["a"], [SHAPE])[0]
    for change in ({"seeds": [1]}, {"indices": [1]}, {"negative_prompts": ["b"]}):
        assert not torch.allclose(sample(components, ["a"], [SHAPE], **change)[0], base, atol=1e-3)
    assert not torch.allclose(sample(components, ["b"], [SHAPE])[0], base, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"guidance_scale": 2.0},
        {"guidance_interval": (0.5, 1.0)},
        {"guidance_rescale": 0.7},
        {"guidance_channels": 3},
        {"time_shift": 4.0},
        {"ntk_factor": 3.0},
        {"rope_scaling_factor": 2.0},
        {"proportional_attention": True, "training_shape": (1, 4, 4)},
        {"ntk_factor": "auto", "training_shape": (1, 4, 4)},
        {"solver": "midpoint"},
        {"num_inference_steps": 5},
    ],
)
def test_every_setting_reaches_the_sampler(components: Components, change: dict[str, Any]) -> None:
    """Each sampling setting changes the sample."""
    base, changed = sample(components, ["a"], [SHAPE])[0], sample(components, ["a"], [SHAPE], **change)[0]
    assert not torch.allclose(changed, base, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"time_shift": 4.0},
        {"diffusion": "SBDM"},
        {"diffusion_norm": 0.2},
        {"last_step": "tweedie"},
        {"seeds": [1]},
        {"indices": [1]},
    ],
)
def test_every_setting_reaches_a_stochastic_sampler(components: Components, change: dict[str, Any]) -> None:
    """From one starting point, the process, and seed and number through the noise on the way, each matter."""
    fixed = {"solver": "sde-euler-maruyama", "latents": [latent_noise(SHAPE, seed=5, index=0)]}
    base, changed = (
        sample(components, ["a"], [SHAPE], **fixed)[0],
        sample(components, ["a"], [SHAPE], **fixed, **change)[0],
    )
    assert not torch.allclose(changed, base, atol=1e-3)


def test_automatic_scaling_is_the_ratio_of_row_lengths(components: Components) -> None:
    """Under "auto" a row, its [nextline] counted, is as long as in training: 8 cells are 5 tokens, 4 cells were 3."""
    automatic = {"rope_scaling_factor": "auto", "training_shape": (1, 4, 4)}
    wide = (4, 4, 8)
    torch.testing.assert_close(
        sample(components, ["a"], [wide], **automatic)[0],
        sample(components, ["a"], [wide], rope_scaling_factor=5 / 3)[0],
    )
    assert not torch.allclose(sample(components, ["a"], [wide], **automatic)[0], sample(components, ["a"], [wide])[0])
    tall = (4, 8, 4)
    torch.testing.assert_close(sample(components, ["a"], [tall], **automatic)[0], sample(components, ["a"], [tall])[0])


@pytest.mark.parametrize(
    "switch", [{"ntk_factor": "auto"}, {"rope_scaling_factor": "auto"}, {"proportional_attention": True}]
)
def test_a_training_shape_without_whole_patches_is_refused(components: Components, switch: dict[str, object]) -> None:
    """A latent smaller than a patch has no patches to compare with; the line says what the patch size is."""
    with pytest.raises(ConfigError, match="multiples of the patch size 2, got"):
        sample(components, ["a"], [SHAPE], training_shape=(1, 1, 4), **switch)


def test_automatic_ntk_factor_is_the_ratio_of_patches(components: Components) -> None:
    """Four times the training patches give factor 4; fewer than in training give 1."""
    automatic = {"ntk_factor": "auto", "training_shape": (1, 4, 4)}
    torch.testing.assert_close(
        sample(components, ["a"], [SHAPE], **automatic)[0], sample(components, ["a"], [SHAPE], ntk_factor=4.0)[0]
    )
    torch.testing.assert_close(
        sample(components, ["a"], [(4, 2, 4)], **automatic)[0],
        sample(components, ["a"], [(4, 2, 4)], ntk_factor=1.0)[0],
    )


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_sample_is_an_euler_run_over_the_guided_field(components: Components, scale: float) -> None:
    """The sample follows u + scale (c - u), c for the prompt and u for the null prompt, at one forward a step."""
    settings = components.sampling.replace(guidance_scale=scale, num_inference_steps=4)
    report = Report()
    result = generate_latents(components, ["a"], [SHAPE], settings, seeds=[3], indices=[0], report=report)[0]
    x = latent_noise(SHAPE, seed=3, index=0)
    with torch.no_grad():
        prompt, null = components.text_encoder(["a"]), components.text_encoder([""])
        for step in range(4):
            (c,), (u,) = (components.model([x], step / 4, text.features, text.mask) for text in (prompt, null))
            x = x + (u + scale * (c - u)) / 4
    torch.testing.assert_close(result, x, rtol=1e-4, atol=1e-4)
    assert report.settings["function_evaluations"] == 4


def test_given_latents_replace_the_noise(components: Components) -> None:
    """Starting from the seed's own noise gives the seed's sample."""
    noise = latent_noise(SHAPE, seed=5, index=2)
    torch.testing.assert_close(
        sample(components, ["a"], [SHAPE], latents=[noise])[0],
        sample(components, ["a"], [SHAPE], seeds=[5], indices=[2])[0],
    )
    with pytest.raises(ShapeError, match=r"\(4, 8, 8\)"):
        sample(components, ["a"], [SHAPE], latents=[noise[:, :4]])


def test_report_tells_settings_seeds_and_kernels(components: Components, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report holds what is needed to repeat the run, and why each kernel ran on this device and these heads."""
    asked = []
    monkeypatch.setattr(generate, "explain", lambda **given: asked.append(given) or explain(**given))
    report = Report()
    sample(components, PROMPTS, SHAPES, seeds=SEEDS, indices=INDICES, solver="heun", report=report)
    told = report.as_dict()
    assert told["seeds"] == SEEDS and told["indices"] == INDICES and told["solver"] == "heun"
    assert told["function_evaluations"] == 2 * told["num_inference_steps"]
    assert told["kernels"]["attention"].startswith("reference: ")
    assert asked == [{"device": components.model.device, "head_dim": components.model.config.head_dim}]
    assert told["deviations"] == []


def test_dropped_tokens_are_reported_and_strict_forbids_them(components: Components) -> None:
    """A prompt past the encoder's limit is a deviation, and an error under strict."""
    report, prompt = Report(), "circle " * 100
    sample(components, [prompt], [SHAPE], report=report)
    assert "tokens past 24 were dropped" in report.deviations[0]
    with pytest.raises(StrictError, match="dropped"):
        sample(components, [prompt], [SHAPE], report=Report(strict=True))


def test_callback_sees_each_step_and_can_cancel(components: Components) -> None:
    """The callback gets (step, time, latents of the right shapes); CancelledError from it ends sampling."""
    seen: list[tuple[int, float, list[torch.Size]]] = []

    def look(step: int, t: float, latents: list[Tensor]) -> None:
        seen.append((step, t, [item.shape for item in latents]))
        if len(seen) == 2:
            raise CancelledError("enough")

    with pytest.raises(CancelledError, match="enough"):
        sample(components, PROMPTS[:2], SHAPES[:2], num_inference_steps=4, callback=look)
    assert [(step, t) for step, t, _ in seen] == [(0, 0.25), (1, 0.5)]
    assert seen[0][2] == [torch.Size(shape) for shape in SHAPES[:2]]


def test_wrong_counts_and_impossible_sizes(components: Components) -> None:
    """Lists of different lengths, no prompt at all, and sizes past the machine's memory are refused at once."""
    with pytest.raises(ConfigError, match="as many"):
        sample(components, ["a", "b"], [SHAPE])
    with pytest.raises(ConfigError, match="at least 1"):
        sample(components, [], [])
    with pytest.raises(OutOfMemoryError, match="125000"):
        sample(components, ["a"], [(4, 125_000, 125_000)])


def test_a_result_that_is_not_finite_is_an_error(components: Components) -> None:
    """Overflow is said, never drawn as a black picture."""
    with pytest.raises(FlagDiTError, match="finite"):
        sample(components, ["a"], [SHAPE], guidance_scale=3e38)


def test_nothing_global_is_touched(components: Components) -> None:
    """Sampling neither reads nor advances the global random state, and leaves gradients enabled."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = sample(components, ["a"], [SHAPE])[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(sample(components, ["a"], [SHAPE])[0], first)
    assert torch.is_grad_enabled()
