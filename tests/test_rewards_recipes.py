"""The recipes that train by verdicts, each on the tiny random pipeline of its modality."""

import csv
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from flagdit_core.modalities import installed_modalities, load_object
from flagdit_core.recipes import RewardTraining, rewards

SIZES = {"image": (64, 64), "video": (64, 64), "3d": (64, 64), "audio": None}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_recipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step on training prompts of the recipe's own categories, whose latents are learnt from, ends in a model."""
    modality, package = installed_modalities()[name], f"lumina_{name}"
    start, recipe = tmp_path / "start", f"{package}.recipes.rewards"
    options = {"audio": {"seconds": 1.6}, "video": {"num_frames": 8}}.get(name, {})  # enough to be judged
    load_object(f"{package}.testing:random_pipeline")(**options).save_pretrained(start)
    shipped: RewardTraining = load_object(f"{recipe}:REWARDS")
    training = replace(shipped.training, num_steps=1, batch_size=4, micro_batch_size=None, precision="float32")
    config = replace(
        shipped,
        output_dir=tmp_path / "run",
        model=str(start),
        sampling=replace(shipped.sampling, num_inference_steps=1),
        sizes=(SIZES[name],),
        group_size=2,
        sampled_prompts=1,
        training=training,
    )
    monkeypatch.setattr(rewards, "make_and_verify", lambda *args, **settings: None)  # of a size that cannot be judged
    asked, splits = list[Any](), list[str]()
    batch, world = rewards.JudgedSamples.batch, rewards._training_worlds

    def watched(self: rewards.JudgedSamples, *args: Any, **settings: Any) -> Any:
        asked.append(batch(self, *args, **settings))
        return asked[-1]

    def noted(modality: Any) -> Any:
        def make(pipeline: Any, request: Any) -> Any:
            made = world(modality)(pipeline, request)
            splits.append(made.split)
            return made

        return make

    monkeypatch.setattr(rewards.JudgedSamples, "batch", watched)
    monkeypatch.setattr(rewards, "_training_worlds", noted)
    folder = import_module(recipe).rewards(config)
    (learnt_from,) = asked
    assert len(learnt_from.latents) == len(learnt_from.captions) == len(learnt_from.rewards)
    assert learnt_from.latents.dtype == torch.float32 and splits == ["train"]
    with (tmp_path / "run" / "rollouts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["of"]) for row in rows) == 4
    assert {row["category"] for row in rows} <= set(shipped.shares)
    load_object(modality.pipeline).from_pretrained(folder)
