"""The nano recipe in a minute: the same code from nothing to a model folder, too short to learn to make films."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import TextEncoderRecipe, WorldRecipe
from lumina_video.recipes.films import film_stage
from lumina_video.recipes.nano import NANO, nano

TINY = replace(
    NANO,
    output_dir=Path("runs/tiny-film"),
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
    start_from=None,
    stages=(
        film_stage(steps=100, films=80, side=64, num_frames=8, fps=4.0, categories={"moving": 1.0, "bouncing": 1.0}),
    ),
    training=replace(
        NANO.training,
        num_steps=100,
        batch_size=8,
        warmup_steps=10,
        ema_decay=0.9,
        log_every=10,
        sample_every=50,
        checkpoint_every=50,
    ),
    sampled_prompts=7,
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
