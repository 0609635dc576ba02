"""The nano recipe in a minute: the same code from nothing to a model folder, too short to learn to draw."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import WorldRecipe, shrunk
from lumina_image.recipes.nano import NANO, nano
from lumina_image.recipes.pictures import picture_stage

_SMALL = shrunk(NANO)

TINY = replace(
    _SMALL,
    output_dir=Path("runs/tiny"),
    stages=(picture_stage(steps=150, pictures={1: 400}, sizes={(64, 64): 1.0, (96, 64): 1.0}, shares={1: 1.0}),),
    training=replace(_SMALL.training, num_steps=150, batch_size=16, warmup_steps=20, sample_every=75),
    sampled_prompts=8,
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
