"""The recipe of the shipped model: a small Flag-DiT and its text encoder, trained on the sound world from nothing."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import NANO_TRAINING, Stage, WorldRecipe, train_world_model
from lumina_audio.modality import MODALITY
from lumina_audio.phonemes import Spelling, spell
from lumina_audio.recipes.sounds import encode_sounds, sound_stage
from lumina_audio.world import describe, sample_scene

SECONDS = 3.2


_BEGINNING = (
    (700, {"one sound": 1.0}),
    (900, {"one sound": 0.4, "sounds in order": 0.35, "spoken words": 0.25}),
    (3000, {"one sound": 0.2, "sounds in order": 0.4, "spoken words": 0.4}),
    (3400, {"one sound": 0.25, "sounds in order": 0.45, "spoken words": 0.3}),
)
"""Updates, and what they learn from."""
_MORE = {"one sound": 0.2, "sounds in order": 0.52, "spoken words": 0.28}
_ALL_TOLD = {"one sound": 0.17, "sounds in order": 0.37, "spoken words": 0.21}
_SOME_TOLD = {"one sound": 0.05, "sounds in order": 0.13, "spoken words": 0.07}


def _stages(spelling: Spelling) -> tuple[Stage, ...]:
    """One sound first, then all the world's; in the end three quarters of the captions tell all that is heard."""
    stage = partial(sound_stage, seconds=SECONDS, spelling=spelling)
    all_told = stage(steps=3900, sounds=8000, categories=_ALL_TOLD, all_told=True)
    some_told = stage(steps=3900, sounds=18_000, categories=_SOME_TOLD)
    return (
        *(stage(steps=steps, sounds=6000, categories=shares) for steps, shares in _BEGINNING),
        stage(steps=2582, sounds=18_000, categories=_MORE),
        Stage(steps=3900, parts=all_told.parts + some_told.parts),
    )


NANO = WorldRecipe(
    output_dir=Path("runs/sound-nano"),
    codec=MODALITY.models["nano"] / "vae",
    model=replace(FlagDiTConfig.preset("nano"), in_channels=16, patch_size=1),
    stages=_stages("characters"),
    training=replace(
        NANO_TRAINING,
        num_steps=14_482,
        ema_decay=0.997,
        sample_every=500,
        checkpoint_every=100,
    ),
    sampling=SamplingSettings(num_inference_steps=12, guidance_scale=4.0, ntk_factor="auto", training_shape=(1, 1, 50)),
    sampled_prompts=48,
)

PHONEMES = replace(NANO, output_dir=Path("runs/sound-phonemes"), stages=_stages("phonemes"))
"""The same, but what captions say is spelled as it sounds, by espeak-ng."""


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
    return train_world_model(config, MODALITY, encode=encode_sounds, describe=caption, resume=resume)


def phonemes(config: WorldRecipe = PHONEMES, *, resume: bool = False) -> Path:
    """Train a model like nano that reads what captions say in phonemes; its folder names that ``spelling``.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        As :func:`nano`.

    Raises:
        BackendUnavailableError: espeak-ng is not installed.
        ConfigError: As :func:`nano`.
        OutputError: As :func:`nano`.
    """

    def spelled(generator: np.random.Generator) -> str:
        return spell(caption(generator), "phonemes")

    return train_world_model(config, MODALITY, encode=encode_sounds, describe=spelled, resume=resume)


def caption(generator: np.random.Generator) -> str:
    """A caption of the world.

    Args:
        generator: Picks the scene and the words.

    Returns:
        What a random sound is.
    """
    return describe(sample_scene(generator, split="any"), generator)
