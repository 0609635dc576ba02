"""The nano recipe in a minute: the same code from nothing to a model folder, too short to learn to draw."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import TextEncoderRecipe, WorldRecipe
from lumina_image.recipes.nano import NANO, nano
from lumina_image.recipes.pictures import picture_stage

TINY = replace(
    NANO,
    output_dir=Path("runs/tiny"),
    model=replace(
        NANO.model,
        hidden_size=64,
        depth=3,
        num_heads=2,
        num_kv_heads=2,
        ffn_hidden_size=192,
        conditioning_size=64,
        caption_size=64,
    ),
    text_encoder=TextEncoderRecipe(num_layers=1, captions=500),
    stages=(picture_stage(steps=150, pictures=400, sizes={(64, 64): 1.0, (96, 64): 1.0}, num_objects={1: 1.0}),),
    training=replace(
        NANO.training,
        num_steps=150,
        batch_size=16,
        warmup_steps=20,
        ema_decay=0.9,
        log_every=10,
        sample_every=75,
        checkpoint_every=50,
    ),
    sampled_prompts=8,
    workers=1,
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
