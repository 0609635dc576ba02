"""The recipe of the shipped model: a small Flag-DiT and its text encoder, trained on the picture world from nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import NANO_TRAINING, Stage, WorldRecipe, train_world_model
from lumina_image.modality import MODALITY
from lumina_image.recipes.pictures import encode_pictures, picture_stage
from lumina_image.world import describe, sample_scene

_SMALL = {(64, 64): 1.0}
_SQUARE = {(128, 128): 1.0}
_ANY_ASPECT = {(128, 128): 0.76, (128, 96): 0.06, (96, 128): 0.06, (160, 96): 0.06, (96, 160): 0.06}
_ONE_OBJECT = {1: 1.0}
_FEW = {1: 9_000, 2: 9_000, 3: 9_000}
_MANY = {1: 12_000, 2: 18_000, 3: 9_000}
_MOST = {1: 24_000, 2: 30_000, 3: 24_000}


def _all_shapes(steps: int) -> Stage:
    """Squares for half of the batches, and four other shapes of about that area."""
    square, others = (
        picture_stage(steps=steps, pictures=pictures, sizes=sizes, shares={1: 0.24, 2: 0.36, 3: 0.4})
        for pictures, sizes in (
            ({1: 12_000, 2: 26_000, 3: 40_000}, {(128, 128): 0.48}),
            ({1: 8_000, 2: 14_000, 3: 18_000}, {(160, 96): 0.12, (96, 160): 0.12, (192, 96): 0.14, (96, 192): 0.14}),
        )
    )
    return replace(square, parts=square.parts + others.parts)


NANO = WorldRecipe(
    output_dir=Path("runs/nano"),
    codec=MODALITY.models["nano"] / "vae",
    model=replace(FlagDiTConfig.preset("nano"), rope_row_stride=33),
    stages=(
        picture_stage(steps=3000, pictures={1: 30_000}, sizes=_SMALL, shares=_ONE_OBJECT),
        picture_stage(steps=850, pictures={1: 16_000}, sizes=_ANY_ASPECT, shares=_ONE_OBJECT),
        picture_stage(steps=700, pictures={1: 12_000}, sizes=_SQUARE, shares=_ONE_OBJECT),
        picture_stage(steps=1200, pictures=_FEW, sizes=_SQUARE, shares={1: 0.45, 2: 0.4, 3: 0.15}),
        picture_stage(steps=1500, pictures=_FEW, sizes=_SQUARE, shares={1: 0.5, 2: 0.38, 3: 0.12}),
        picture_stage(steps=3166, pictures=_MANY, sizes=_SQUARE, shares={1: 0.38, 2: 0.45, 3: 0.17}),
        picture_stage(steps=4284, pictures=_MANY, sizes=_SQUARE, shares={1: 0.34, 2: 0.46, 3: 0.2}),
        picture_stage(steps=5300, pictures=_MOST, sizes=_SQUARE, shares={1: 0.26, 2: 0.42, 3: 0.32}),
        _all_shapes(6800),
    ),
    training=replace(
        NANO_TRAINING,
        num_steps=26_800,
        sample_every=500,
        checkpoint_every=250,
    ),
    sampling=SamplingSettings(
        num_inference_steps=16,
        time_shift=2.0,
        guidance_scale=4.0,
        projected_flow=True,
        training_shape=(1, 16, 16),
    ),
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
    return train_world_model(config, MODALITY, encode=encode_pictures, describe=caption, resume=resume)


def caption(generator: np.random.Generator) -> str:
    """A caption of the world.

    Args:
        generator: Picks the scene and the words.

    Returns:
        What a random scene shows.
    """
    return describe(sample_scene(generator, split="any"), generator)
