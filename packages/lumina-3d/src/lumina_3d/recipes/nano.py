"""The recipe of the shipped model: the picture model, trained further on views of the object world."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import NANO_TRAINING, WorldRecipe, train_world_model
from lumina_3d.modality import MODALITY
from lumina_3d.recipes.views import encode_views, views_stage
from lumina_3d.world import describe, sample_scene

_FEW = {"one object": 1500, "one on another": 1500, "side by side": 1500}
_MANY = {"one object": 1500, "one on another": 3000, "side by side": 3000}
_MOST = {"one object": 4500, "one on another": 6000, "side by side": 6000}
_OTHERS = {"one object": 3000, "one on another": 6000, "side by side": 5000}
_LAST = {"one object": 2000, "one on another": 5000, "side by side": 4500}

NANO = WorldRecipe(
    output_dir=Path("runs/object-nano"),
    codec=MODALITY.models["nano"] / "vae",
    model=FlagDiTConfig.preset("nano"),
    start_from="image/nano",
    stages=(
        views_stage(steps=1200, objects=_FEW, shares={"one object": 1.0}),
        views_stage(steps=800, objects=_FEW, shares={"one object": 0.4, "one on another": 0.3, "side by side": 0.3}),
        views_stage(steps=2000, objects=_MANY, shares={"one object": 0.2, "one on another": 0.4, "side by side": 0.4}),
        views_stage(
            steps=6000, objects=_MANY, shares={"one object": 0.15, "one on another": 0.4, "side by side": 0.45}
        ),
        views_stage(
            steps=5000, objects=_MOST, shares={"one object": 0.27, "one on another": 0.42, "side by side": 0.31}
        ),
        views_stage(
            steps=5000, objects=_OTHERS, shares={"one object": 0.22, "one on another": 0.45, "side by side": 0.33}
        ),
        views_stage(
            steps=6000, objects=_LAST, shares={"one object": 0.2, "one on another": 0.45, "side by side": 0.35}
        ),
    ),
    training=replace(
        NANO_TRAINING,
        num_steps=26_000,
        batch_size=16,
        learning_rate=1e-3,
        muon_learning_rate=2e-3,
        warmup_steps=50,
        ema_decay=0.995,
        sample_every=300,
        checkpoint_every=100,
    ),
    sampling=SamplingSettings(num_inference_steps=12, guidance_scale=4.0, training_shape=(12, 8, 8)),
    sampled_prompts=18,
)


def nano(config: WorldRecipe = NANO, *, resume: bool = False) -> Path:
    """Train the nano model and write it as a pipeline folder.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    return train_world_model(config, MODALITY, encode=encode_views, describe=caption, resume=resume)


def caption(generator: np.random.Generator) -> str:
    """A caption of the world.

    Args:
        generator: Picks the scene and the words.

    Returns:
        What a random object is.
    """
    return describe(sample_scene(generator, split="any"), generator)
