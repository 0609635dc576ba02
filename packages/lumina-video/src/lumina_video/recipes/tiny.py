"""The nano recipe in a minute: the same code from nothing to a model folder, too short to learn to make films."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import WorldRecipe, shrunk
from lumina_video.recipes.films import film_stage
from lumina_video.recipes.nano import NANO, nano

_SMALL = shrunk(NANO)

TINY = replace(
    _SMALL,
    output_dir=Path("runs/tiny-film"),
    stages=(film_stage(steps=100, films={"moving": 80, "bouncing": 80}, shares={"moving": 1.0, "bouncing": 1.0}),),
    training=replace(_SMALL.training, num_steps=100, batch_size=8, warmup_steps=10, sample_every=50),
    sampled_prompts=7,
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
