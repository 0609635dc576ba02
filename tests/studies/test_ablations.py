"""The ablations compute what their names say, and their page is what their results say."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from flagdit_core import FlagDiT
from flagdit_core.flow import LinearPath, VPPath, euler, linear_times
from flagdit_core.training import Batch, train
from studies.ablations.__main__ import RESULTS
from studies.ablations.measure import follow
from studies.ablations.networks import PositionedBlock
from studies.ablations.pictures import text_encoder
from studies.ablations.report import render, write
from studies.ablations.run import Scale, run
from studies.ablations.summary import CHECKS, LOSS, final, read_runs, values
from studies.ablations.variants import BASELINE, CAPTION_SIZE, LATENT_SHAPE, NETWORK, TRAINING, VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "ablations.md"
LATENT = (LATENT_SHAPE[0], *LATENT_SHAPE[2:])


class Noise:
    """Batches of noise with one caption."""

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """Another one at each step."""
        generator = torch.Generator().manual_seed(step)
        return Batch(
            latents=torch.randn(batch_size, *LATENT, generator=generator),
            captions=["a small red circle on a white background"] * batch_size,
        )


def open_network(name: str) -> FlagDiT:
    """A variant's network with no weight at its initial zero, so that every part has a say."""
    model = VARIANTS[name].model(seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@torch.no_grad()
def velocity(model: FlagDiT, x: Tensor) -> Tensor:
    """The network's, for captions and times that are always the same."""
    caption = torch.randn(1, 5, CAPTION_SIZE, generator=torch.Generator().manual_seed(2)).expand(len(x), -1, -1)
    found = model(x, 0.4, caption)
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains(name: str, tmp_path: Path) -> None:
    """A few updates move every weight of the variant's network, and it is the baseline's in all but what it changes."""
    variant = VARIANTS[name]
    model, encoder = variant.model(seed=0), text_encoder(width=CAPTION_SIZE, seed=0)
    config = replace(variant.training_config(num_steps=6, seed=0), num_steps=6, batch_size=2, warmup_steps=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    train(model, encoder, Noise(), config, tmp_path)
    assert [key for key, value in model.state_dict().items() if torch.equal(value, before[key])] == []
    changed = {key for key, value in model.config.to_dict().items() if value != getattr(NETWORK, key)}
    assert changed == variant.network.keys()
    settings = variant.training_config(num_steps=100, seed=TRAINING.seed)
    altered = {key for key, value in vars(settings).items() if value != getattr(TRAINING, key)} - {"num_steps"}
    assert altered == variant.training.keys()
    assert bool(changed or altered or variant.alter) == (name != BASELINE)


def test_layer_norm_takes_the_mean_away() -> None:
    """The blocks of that variant do not see a number added to all values of a token; those of the baseline do."""

    def change(name: str) -> float:
        model = open_network(name)
        x = torch.randn(2, *LATENT, generator=torch.Generator().manual_seed(3))
        before = velocity(model, x)
        with torch.no_grad():
            model.token_embedder.bias.add_(3.0)
            model.next_line.add_(3.0)
            model.next_frame.add_(3.0)
        return float((velocity(model, x) - before).abs().max())

    assert change("layer-norm") < 1e-3 < 1e-1 < change(BASELINE)
    assert not any(isinstance(module, nn.RMSNorm) for module in open_network("layer-norm").modules())


def test_learnt_positions_are_the_only_ones() -> None:
    """Without its learnt vectors that variant cannot tell patches apart by their places; with them it can."""
    model = open_network("learnt-positions")
    x = torch.randn(1, *LATENT, generator=torch.Generator().manual_seed(3))
    swapped = x.clone()
    swapped[..., :2, :2], swapped[..., 4:6, 6:8] = x[..., 4:6, 6:8], x[..., :2, :2]

    def error() -> float:
        found, expected = velocity(model, swapped), velocity(model, x)
        return float((found[..., :2, :2] - expected[..., 4:6, 6:8]).abs().max())

    assert error() > 1e-2
    first = model.blocks[0]
    assert isinstance(first, PositionedBlock)
    nn.init.zeros_(first.positions_1ND)
    assert error() < 1e-4


def test_learnt_positions_begin_anew_in_each_latent() -> None:
    """Packed latents get what each gets alone."""
    model = open_network("learnt-positions")
    x = torch.randn(3, *LATENT, generator=torch.Generator().manual_seed(3))
    alone = torch.cat([velocity(model, item[None]) for item in x])
    assert torch.allclose(velocity(model, x), alone, atol=1e-4)


def test_a_step_is_eulers_on_the_linear_path() -> None:
    """Noise and data mixed anew are Euler's step there."""
    x, times = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), linear_times(5)

    def field(x: Tensor, t: Tensor) -> Tensor:
        return torch.sin(x) + t

    assert torch.allclose(follow(field, x, times, TRAINING), euler(field, x, times), atol=1e-5)


def test_ddpm_reaches_the_data() -> None:
    """With the noise known exactly, few steps along the VP path end at the picture, guidance or none."""
    config = VARIANTS["ddpm"].training_config(num_steps=1, seed=0)
    data, path = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), VPPath()
    assert (config.path, config.prediction) == ("vp", "noise") and LinearPath() != path

    def noise(x: Tensor, t: Tensor) -> Tensor:
        alpha, _, sigma, _ = path.coefficients(t)
        return (x - alpha * data) / sigma

    start = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(follow(noise, start, linear_times(12), config), data, atol=1e-3)


def test_a_difference_is_one_beyond_the_spread() -> None:
    """A variant five standard deviations away differs from the baseline; one within the seeds' spread does not."""
    losses = {BASELINE: (1.0, 1.1, 0.9), "layer-norm": (1.05, 0.95, 1.15), "adamw": (1.5, 1.6, 1.4)}
    runs = {name: [{"points": [{LOSS: loss}]} for loss in of] for name, of in losses.items()}
    found = values(runs, lambda run: final(run, LOSS))
    assert {name: value.differs for name, value in found.items()} == {
        BASELINE: False,
        "layer-norm": False,
        "adamw": True,
    }
    assert found["adamw"].mean == pytest.approx(1.5) and found["adamw"].spread == pytest.approx(0.1)


def test_a_run_is_kept_whole(tmp_path: Path) -> None:
    """A short run leaves its settings, its loss and all checks, from which the page can be made."""
    scale = Scale(num_steps=2, prompts=3, held_out=2, losses=2, evaluations=1, sampling_steps=1)
    path = run(BASELINE, 5, Noise(), scale, tmp_path)
    assert path is not None
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert [point["step"] for point in kept["points"]] == [1, 2]
    assert kept["training"]["seed"] == 5 and kept["examples"] == 2 * TRAINING.batch_size
    assert kept["points"][-1]["guidance 4"]["all"][1] == 3
    assert {"count", *CHECKS} >= kept["points"][-1]["guidance 1"].keys()
    assert kept["processor_seconds_per_update"] > 0


def test_the_page_is_what_the_results_say(tmp_path: Path) -> None:
    """The page in docs/ is that of the committed results, with a line for each variant that was run, and its plots."""
    runs = read_runs(RESULTS)
    (tmp_path / "images").mkdir()
    write(RESULTS, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text == PAGE.read_text(encoding="utf-8") == render(runs)
    assert all(f"| `{name}` |" in text for name in runs)
    for plot in (tmp_path / "images").iterdir():
        assert f"(images/{plot.name})" in text
        assert (PAGE.parent / "images" / plot.name).stat().st_size < 200_000
