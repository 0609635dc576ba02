"""Training by verdicts, on a made-up modality whose toys are good where they are large."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from flagdit_core.errors import ConfigError, OutputError
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import REWARD_TRAINING, Part, RewardTraining, Stage, train_on_rewards
from flagdit_core.recipes.judged_samples import JudgedSamples, group_rewards, score
from flagdit_core.world import Check, Prompt, Verdict

from .conftest import ToyPipeline, generate_toys
from .test_world_model import ToyKind, encode_toys


def is_even(number):
    """Whether its thousandths are."""
    return int(1000 * abs(number)) % 2 == 0


class Judged:
    """Toys whose first number, in thousandths, ought to be even, which is a matter of chance."""

    def prompts(self, count, *, seed):
        """Of two categories in turn."""
        return [Prompt(text=f"toy {number}", category=f"kind {number % 2}") for number in range(count)]

    def verify(self, artifact, prompt):
        """One check that always passes, and one that is about what was made."""
        return Verdict(checks=(Check.of("made", "yes", "yes"), Check.of("even", "True", str(is_even(artifact[0])))))


def judged(pipeline, request):
    """As modalities name their worlds."""
    return Judged()


@pytest.fixture
def recipe(saved_model, tmp_path):
    """Three steps of eight samples, of one category, and of two sizes in turn."""
    training = replace(
        REWARD_TRAINING, num_steps=3, batch_size=8, sample_every=3, log_every=1, checkpoint_every=2, precision="float32"
    )
    return RewardTraining(
        output_dir=tmp_path / "run",
        model=str(saved_model),
        sampling=SamplingSettings(num_inference_steps=2, guidance_scale=2.0),
        finished_sampling=SamplingSettings(num_inference_steps=3, guidance_scale=1.0),
        sizes=((8, 8), (4, 8)),
        group_size=4,
        shares={"kind 1": 1.0},
        sampled_prompts=2,
        training=training,
    )


def test_scores_and_rewards() -> None:
    """Half the share of what passed, and a half for all of it; rewards compare a prompt's samples with one another."""
    yes, no = Check.of("a", "x", "x"), Check.of("a", "x", "y")
    assert [score(Verdict(checks=checks)) for checks in ((yes, yes), (yes, no), (no, no))] == [1.0, 0.25, 0.0]
    rewards = group_rewards(np.array([[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]))
    assert rewards[0, 3] == 1.0 and (rewards[0, :3] < 0.5).all() and (rewards[1] == 0.5).all()
    assert (group_rewards(np.zeros((2, 3))) == 0.5).all()


def test_run(recipe, toy_modality) -> None:
    """It ends in a model of bfloat16 with other weights, that samples as it is to, with counts and a sample."""
    folder = train_on_rewards(recipe, toy_modality, worlds=judged)
    with (recipe.output_dir / "rollouts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["category"], row["of"]) for row in rows] == [(str(i), "kind 1", "8") for i in range(3)]
    assert (recipe.output_dir / "samples" / "verified.csv").is_file()
    first, last = (ToyPipeline.from_pretrained(path).components for path in (recipe.model, folder))
    assert first.sampling != last.sampling == recipe.finished_sampling
    before, after = (parts.model.state_dict() for parts in (first, last))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(weight, weight.bfloat16().float()) for weight in after.values())
    with pytest.raises(OutputError):
        train_on_rewards(recipe, toy_modality, worlds=judged)


def test_interrupted(recipe, toy_modality, tmp_path) -> None:
    """A run that is resumed ends in the same weights, and its table has each step once."""
    whole = train_on_rewards(recipe, toy_modality, worlds=judged)
    other = replace(recipe, output_dir=tmp_path / "other")
    train_on_rewards(replace(other, training=replace(recipe.training, num_steps=2)), toy_modality, worlds=judged)
    (other.output_dir / "model").rename(tmp_path / "two steps")
    train_on_rewards(other, toy_modality, worlds=judged, resume=True)
    tables = [(run.output_dir / "rollouts.csv").read_text() for run in (recipe, other)]
    assert tables[0].splitlines()[:3] == tables[1].splitlines()[:3]
    assert len(tables[0].splitlines()) == len(tables[1].splitlines()) == 4
    assert whole.is_dir()


def test_mixing(recipe, toy_modality, tmp_path) -> None:
    """The finished weights are as far from the first ones as is asked for."""
    training = replace(recipe.training, learning_rate=1e-2, muon_learning_rate=1e-2)

    def weights(model):
        parts = ToyPipeline.from_pretrained(model).components
        return torch.cat([weight.flatten() for weight in (*parts.model.parameters(), *parts.text_encoder.parameters())])

    def made(mixing):
        chosen = replace(recipe, mixing=mixing, training=training, output_dir=tmp_path / f"{mixing}")
        return weights(train_on_rewards(chosen, toy_modality, worlds=judged)) - weights(recipe.model)

    whole, quarter = made(1.0), made(0.25)
    assert whole.abs().max() > 0.05
    assert (quarter - 0.25 * whole).norm() < 0.05 * whole.norm()  # bfloat16 rounds both


def test_what_learning_gets(recipe) -> None:
    """Of groups that differ only, each latent with the caption and the reward of what it is."""
    seen = []

    def spelled(text, components):
        seen.append(text)
        return text.upper()

    pipeline = ToyPipeline.from_pretrained(recipe.model)
    source = JudgedSamples(pipeline, recipe, worlds=judged, generate=generate_toys, caption=spelled)
    recipe.output_dir.mkdir()
    with torch.no_grad():
        batches = [source.batch(step, batch_size=16, seed=0) for step in range(4)]
    for batch in batches:
        good = torch.tensor([is_even(latent.flatten()[0].item()) for latent in batch.latents])
        assert (batch.rewards[good] > 0.5).all() and (batch.rewards[~good] < 0.5).all()
        assert len(batch.captions) == len(batch.latents) and all(text.startswith("TOY") for text in batch.captions)
        for text in set(batch.captions):
            own = torch.tensor([caption == text for caption in batch.captions])
            assert 0 < good[own].sum() < own.sum() == recipe.group_size
    assert [tuple(batch.latents.shape[2:]) for batch in batches] == [(8, 8), (8, 4), (8, 8), (8, 4)]
    assert len({tuple(batch.captions) for batch in batches}) == 4
    assert seen


def test_examples(recipe, toy_modality, monkeypatch) -> None:
    """Media of the world stand beside the samples, of whatever shape, and are as good as can be."""
    seen, batch = [], JudgedSamples.batch
    monkeypatch.setattr(
        JudgedSamples, "batch", lambda self, *args, **settings: seen.append(batch(self, *args, **settings)) or seen[-1]
    )
    stage = Stage(steps=1, parts=(Part(kind=ToyKind(length=4, value=3), examples=5),))
    chosen = replace(recipe, examples=(stage,), num_examples=2, workers=1)
    train_on_rewards(chosen, toy_modality, worlds=judged, encode=encode_toys)
    assert len(seen) == 3
    for made in seen:
        assert [tuple(latent.shape[1:]) for latent in made.latents[-2:]] == [(2, 4), (2, 4)]
        assert made.rewards[-2:].tolist() == [1.0, 1.0] and (made.rewards[:-2] < 1).any()
        assert all(text.startswith("toy 3") for text in made.captions[-2:])
        assert len(made.captions) == len(made.latents) == len(made.rewards)
    with pytest.raises(ConfigError, match="num_examples needs a way to encode them"):
        train_on_rewards(replace(chosen, output_dir=recipe.output_dir / "other"), toy_modality, worlds=judged)


def test_refusals(recipe, toy_modality) -> None:
    """Groups that do not fill a batch, no size at all, and categories that the world has not."""
    with pytest.raises(ConfigError, match=r"group_size of 2 or more .*, got 3 and 8"):
        replace(recipe, group_size=3)
    with pytest.raises(ConfigError, match="num_examples of 0, or more of some examples, got 2"):
        replace(recipe, num_examples=2)
    for mixing in (0.0, 1.5):
        with pytest.raises(ConfigError, match=rf"expected mixing in \(0, 1\], got {mixing}"):
            replace(recipe, mixing=mixing)
    with pytest.raises(ConfigError, match="at least one of sizes"):
        replace(recipe, sizes=())
    with pytest.raises(ConfigError, match="no prompt of this world is of the categories odd in shares"):
        train_on_rewards(replace(recipe, shares={"odd": 1.0}), toy_modality, worlds=judged)
