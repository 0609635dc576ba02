"""The recipe of the nano model's VAE: the picture VAE, trained further on the frames of films, which are smaller."""

from pathlib import Path

import numpy as np
from torch import Tensor

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes.picture_vae import PictureVAERecipe, train_picture_vae
from flagdit_core.shapes import draw_shapes
from lumina_video.world import sample_scene
from lumina_video.world.drawing import pose

VAE = PictureVAERecipe(
    output_dir=Path("runs/film-vae/vae"),
    run_dir=Path("runs/film-vae"),
    start_from="image/nano",
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
    return train_picture_vae(config, random_frames)


def random_frames(generator: np.random.Generator, count: int, size: int, *, held_out: bool = False) -> Tensor:
    """Random moments of random films, (count, 3, size, size) float32 in [-1, 1]."""
    frames = []
    for _ in range(count):
        scene = sample_scene(generator, split="held_out" if held_out else "train")
        phase = float(generator.random())
        shapes = [pose(actor, phase) for actor in scene.actors]
        frames.append(draw_shapes(scene.background, shapes, size, size))
    return to_pixels(np.stack(frames))
