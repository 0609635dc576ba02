"""The recipe of the nano VAE: trained on the picture world from nothing."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.recipes.picture_vae import PictureVAERecipe, train_picture_vae
from lumina_image.recipes.vae_data import edge_crops, whole_pictures


@dataclass(frozen=True, kw_only=True)
class VAERecipe(PictureVAERecipe):
    """Everything that decides the trained VAE.

    Attributes:
        batch_size: Crops of a step; a step of whole pictures takes as many as have about the same number of pixels.
        size: Side of whole pictures in pixels.
        crop_size: Side of a crop in pixels.
        picture_sizes: Sides in pixels of the pictures that crops are cut from.
        whole_every: Every which step sees whole pictures.
    """

    batch_size: int = 8
    size: int = 128
    crop_size: int = 64
    picture_sizes: tuple[int, ...] = (96, 128, 160, 192)
    whole_every: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_size % 8 or min(self.picture_sizes) < self.crop_size:
            raise ConfigError(
                f"expected crop_size to be a multiple of 8 and no picture smaller than a crop, "
                f"got crop_size {self.crop_size}, picture_sizes {self.picture_sizes}"
            )
        if self.whole_every < 1:
            raise ConfigError(f"expected whole_every of 1 or more, got {self.whole_every}")

    def batch(self, generator: np.random.Generator, step: int) -> Tensor:
        """The pixels (B, 3, H, W) of a step: crops around edges, now and then whole pictures."""
        if step % self.whole_every:
            return edge_crops(generator, self.batch_size, self.crop_size, self.picture_sizes)
        count = max(1, round(self.batch_size * (self.crop_size / self.size) ** 2))
        return whole_pictures(generator, count, self.size)


VAE = VAERecipe()


def vae(config: VAERecipe = VAE) -> PictureCodec:
    """Train the nano VAE, or go on from its run's checkpoint, and write it.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.

    Returns:
        The codec over the averaged weights in float32. ``output_dir`` holds the same in bfloat16.

    Raises:
        ConfigError: ``run_dir`` holds a run of another recipe.

    Example:
        >>> vae(VAERecipe(steps=2, batch_size=2, validation_pictures=2)).latent_channels
        8
    """
    return train_picture_vae(config, whole_pictures, batch=config.batch)
