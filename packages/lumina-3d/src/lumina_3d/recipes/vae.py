"""The recipe of the nano model's VAE: the picture VAE, trained further on single views, which are lit and smaller."""

from pathlib import Path

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.recipes.picture_vae import PictureVAERecipe, train_picture_vae
from lumina_3d.recipes.views import random_views

VAE = PictureVAERecipe(
    output_dir=Path("runs/view-vae/vae"),
    run_dir=Path("runs/view-vae"),
    start_from="image/nano",
    steps=1200,
    learning_rate=5e-4,
    muon_learning_rate=1e-3,
    ema_decay=0.995,
)


def vae(config: PictureVAERecipe = VAE) -> PictureCodec:
    """Train the VAE, or go on from its run's checkpoint, and write it.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.

    Returns:
        The codec over the averaged weights in float32. ``output_dir`` holds the same in bfloat16.

    Raises:
        CheckpointError: There is no ``start_from``: lumina-image is not installed.
        ConfigError: ``run_dir`` holds a run of another recipe.
    """
    return train_picture_vae(config, random_views)
