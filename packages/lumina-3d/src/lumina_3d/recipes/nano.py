"""The recipe of the shipped model: the picture model, trained further on views of the object world."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import NANO_TRAINING, Part, Stage, WorldRecipe, train_world_model
from lumina_3d.modality import MODALITY
from lumina_3d.recipes.views import ViewsKind, encode_views
from lumina_3d.world import CATEGORIES, describe, sample_scene

NANO = WorldRecipe(
    output_dir=Path("runs/object-nano"),
    codec=MODALITY.models["nano"] / "vae",
    model=FlagDiTConfig.preset("nano"),
    start_from="image/nano",
    stages=(
        Stage(steps=1200, parts=(Part(kind=ViewsKind(category=CATEGORIES[0]), examples=1500),)),
        Stage(
            steps=800,
            parts=tuple(
                Part(kind=ViewsKind(category=category), share=share, examples=1500)
                for category, share in zip(CATEGORIES, (0.4, 0.3, 0.3), strict=True)
            ),
        ),
    ),
    training=replace(
        NANO_TRAINING,
        num_steps=2000,
        batch_size=16,
        learning_rate=1e-3,
        muon_learning_rate=2e-3,
        warmup_steps=50,
        ema_decay=0.995,
        sample_every=300,
        checkpoint_every=100,
    ),
    sampling=SamplingSettings(num_inference_steps=24, guidance_scale=4.0, training_shape=(12, 8, 8)),
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
