"""Train on a folder of pictures with captions, each at its own size and shape."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from flagdit_core import picture_files
from flagdit_core.pipeline import Components
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes.folder import FolderTraining, pixel_multiple, train_on_folder
from lumina_image.pipeline import ImagePipeline

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FolderRecipe(FolderTraining):
    """Training of a whole pipeline's network, and of its text encoder if asked, on a folder of pictures.

    Attributes:
        max_pixels: Larger pictures are scaled down to about this area, keeping their shape.
    """

    max_pixels: int = 128 * 128

    def loader(self, components: Components) -> Callable[[Path], Tensor]:
        """What reads a picture as a latent (C, H, W)."""
        multiple = pixel_multiple(components, self.max_pixels)

        def load(path: Path) -> Tensor:
            picture = read_picture(path, multiple=multiple, max_pixels=self.max_pixels)
            latent: Tensor = components.codec.encode(picture[None].to(components.model.device))[0].cpu()
            return latent

        return load


def folder(config: FolderRecipe, *, resume: bool = False) -> Path:
    """Train a pipeline on a folder of pictures and write it as a model folder.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        DataError: The folder, its manifest or a picture cannot be used.
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    return train_on_folder(config, ImagePipeline, resume=resume)


def read_picture(path: Path, *, multiple: int, max_pixels: int) -> Tensor:
    """A picture file, whole, scaled to sides that the network can read.

    Args:
        path: Any file that Pillow opens; transparency becomes white.
        multiple: Both sides are scaled to the nearest multiple of this, at least one.
        max_pixels: Larger pictures are scaled down to about this area first.

    Returns:
        (3, H, W) float32 in [-1, 1].

    Raises:
        DataError: The file is not a picture, or is damaged.
    """
    found = picture_files.read_picture(path)
    picture = picture_files.fitted(found, multiple=multiple, max_pixels=max_pixels)
    if picture.size != found.size:
        logger.info("%s: %dx%d scaled to %dx%d", path, *found.size, *picture.size)
    return to_pixels(np.asarray(picture))
