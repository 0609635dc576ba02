"""The nano recipe in a minute: the same code from nothing to a model folder, too short to learn to make sounds."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import WorldRecipe, shrunk
from lumina_audio.recipes.nano import NANO, nano
from lumina_audio.recipes.sounds import sound_stage

_SMALL = shrunk(NANO)

TINY = replace(
    _SMALL,
    output_dir=Path("runs/tiny-sound"),
    stages=(sound_stage(steps=100, sounds=200, seconds=1.6, categories={"one sound": 1.0}),),
    training=replace(_SMALL.training, num_steps=100, batch_size=16, warmup_steps=10, sample_every=50),
    sampled_prompts=6,
)


def tiny(config: WorldRecipe = TINY, *, resume: bool = False) -> Path:
    """Train a very small model for a moment.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model.
    """
    return nano(config, resume=resume)
