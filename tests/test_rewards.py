"""Training by verdicts, of the tiny random pipeline of every modality."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from flagdit_core.modalities import installed_modalities, load_object
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import REWARD_TRAINING, RewardTraining, rewards, train_on_rewards
from flagdit_core.recipes.judged_samples import JudgedSamples

SIZES = {"image": (64, 64), "video": (64, 64), "3d": (64, 64), "audio": None}
LONG_ENOUGH = {"audio": {"seconds": 1.6}, "video": {"num_frames": 8}}
"""To be judged."""


@pytest.mark.parametrize("name", sorted(SIZES))
def test_training(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step on training prompts, whose latents are learnt from, ends in a model."""
    modality, package = installed_modalities()[name], f"lumina_{name}"
    start = tmp_path / "start"
    load_object(f"{package}.testing:random_pipeline")(**LONG_ENOUGH.get(name, {})).save_pretrained(start)
    config = RewardTraining(
        output_dir=tmp_path / "run",
        model=str(start),
        sampling=SamplingSettings(num_inference_steps=1),
        sizes=(SIZES[name],),
        group_size=2,
        sampled_prompts=1,
        training=replace(REWARD_TRAINING, num_steps=1, batch_size=4, precision="float32"),
    )
    monkeypatch.setattr(rewards, "make_and_verify", lambda *args, **settings: None)  # of a size that cannot be judged
    asked, splits = list[Any](), list[str]()
    batch, world = JudgedSamples.batch, rewards.training_worlds(modality)

    def watched(self: JudgedSamples, *args: Any, **settings: Any) -> Any:
        asked.append(batch(self, *args, **settings))
        return asked[-1]

    def noted(pipeline: Any, request: Any) -> Any:
        made: Any = world(pipeline, request)
        splits.append(made.split)
        return made

    monkeypatch.setattr(JudgedSamples, "batch", watched)
    monkeypatch.setattr(rewards, "training_worlds", lambda modality: noted)
    generate = load_object("lumina_3d.command:generate_views") if name == "3d" else None
    folder = train_on_rewards(config, modality, generate=generate)
    (learnt_from,) = asked
    assert len(learnt_from.latents) == len(learnt_from.captions) == len(learnt_from.rewards)
    assert learnt_from.latents.dtype == torch.float32 and splits == ["train"]
    with (tmp_path / "run" / "rollouts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["of"]) for row in rows) == 4
    assert load_object(modality.pipeline).from_pretrained(folder).components.sampling == config.sampling
