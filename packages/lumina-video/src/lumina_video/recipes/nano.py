"""The recipe of the shipped model: the picture model, trained further on the film world."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import NANO_TRAINING, WorldRecipe, train_world_model
from lumina_video.modality import MODALITY
from lumina_video.recipes.films import encode_films, film_stage
from lumina_video.world import describe, sample_scene

_TWO = "two objects"
_ONE_OBJECT = {"moving": 1.0, "bouncing": 0.6, "resizing": 0.7, "fading": 0.6, "turning": 0.7, "still": 0.4}
_MOSTLY_TWO = {
    "moving": 0.6, "bouncing": 0.4, "resizing": 0.4, "fading": 0.4, "turning": 1.4, "still": 0.3, _TWO: 2.5
}  # fmt: skip
_MOSTLY_TURNING = _MOSTLY_TWO | {"fading": 0.5, "turning": 2.6, _TWO: 1.4}
_HALF_TURNING = _MOSTLY_TURNING | {"moving": 0.5, "still": 0.3, "turning": 3.2, _TWO: 1.7}
_FEW = dict.fromkeys(_MOSTLY_TWO, 1000)
_MANY = _FEW | {"turning": 3000, _TWO: 6000}

NANO = WorldRecipe(
    output_dir=Path("runs/film-nano"),
    codec=MODALITY.models["nano"] / "vae",
    model=FlagDiTConfig.preset("nano"),
    start_from="image/nano",
    stages=(
        film_stage(steps=1500, films=_FEW, shares=_ONE_OBJECT),
        film_stage(steps=400, films=_FEW, shares=_ONE_OBJECT | {_TWO: 1.0}),
        film_stage(steps=2278, films=_MANY, shares=_MOSTLY_TWO),
        film_stage(steps=1222, films=_MANY, shares=_MOSTLY_TURNING),
        film_stage(steps=5000, films=_MANY | {"turning": 6000}, shares=_HALF_TURNING),
    ),
    training=replace(
        NANO_TRAINING,
        num_steps=10_400,
        batch_size=24,
        learning_rate=1e-3,
        muon_learning_rate=2e-3,
        warmup_steps=50,
        ema_decay=0.995,
        sample_every=300,
        checkpoint_every=100,
    ),
    sampling=SamplingSettings(
        num_inference_steps=24, guidance_scale=4.0, projected_flow=True, training_shape=(8, 8, 8)
    ),
    sampled_prompts=42,
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
    return train_world_model(config, MODALITY, encode=encode_films, describe=caption, resume=resume)


def caption(generator: np.random.Generator) -> str:
    """A caption of the world.

    Args:
        generator: Picks the scene and the words.

    Returns:
        What a random film shows.
    """
    return describe(sample_scene(generator, split="any"), generator)
