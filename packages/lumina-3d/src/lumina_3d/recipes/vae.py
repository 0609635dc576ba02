"""The recipe of the nano model's VAE: the picture VAE, trained further on single views, which are lit and smaller."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.recipes.picture_vae import PictureVAERecipe, train_picture_vae
from lumina_3d.recipes.views_data import vae_pictures


@dataclass(frozen=True, kw_only=True)
class VAERecipe:
    """Everything that decides the trained VAE.

    Attributes:
        training: The network, its losses and its schedule.
        batch_size: Views per step, each of another object.
        size: Side of a view in pixels.
    """

    training: PictureVAERecipe = field(
        default_factory=lambda: PictureVAERecipe(
            output_dir=Path("runs/view-vae/vae"), run_dir=Path("runs/view-vae"), steps=1500, learning_rate=5e-4,
            muon_learning_rate=1e-3, ema_decay=0.995,
        )
    )  # fmt: skip
    batch_size: int = 12
    size: int = 64

    def __post_init__(self) -> None:
        if self.size % 8 or self.size < 8 or self.batch_size < 1:
            raise ConfigError(
                f"expected a size that is a multiple of 8 and a batch_size of 1 or more, "
                f"got {self.size} and {self.batch_size}"
            )

    def batch(self, generator: np.random.Generator, step: int) -> Tensor:
        """The views (B, 3, H, W) of a step."""
        return vae_pictures(generator, self.batch_size, self.size)

    def whole(self, generator: np.random.Generator, count: int, *, held_out: bool) -> Tensor:
        """``count`` views; none of them is seen twice, so that new ones are held out as they are."""
        return vae_pictures(generator, count, self.size)


def vae(config: VAERecipe) -> PictureCodec:
    """Train the VAE, or go on from its run's checkpoint, and write it.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.

    Returns:
        The codec over the averaged weights in float32. ``training.output_dir`` holds the same in bfloat16.

    Raises:
        ConfigError: If settings contradict one another.
    """
    return train_picture_vae(config.training, config)
