"""The nano recipe in a minute: the same code from nothing to a model folder, too short to learn to show objects."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import WorldRecipe, shrunk
from lumina_3d.recipes.nano import NANO, nano
from lumina_3d.recipes.views import views_stage

_SMALL = shrunk(NANO)

TINY = replace(
    _SMALL,
    output_dir=Path("runs/tiny-object"),
    stages=(views_stage(steps=60, objects={"one object": 100}, shares={"one object": 1.0}, num_views=6),),
    training=replace(_SMALL.training, num_steps=60, batch_size=8, warmup_steps=10, sample_every=30),
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
