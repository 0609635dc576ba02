"""Train on a folder of objects seen from all around, with captions."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import einops
import numpy as np
from PIL import Image
from torch import Tensor

from flagdit_core.errors import DataError
from flagdit_core.picture_files import fitted
from flagdit_core.pipeline import Components
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes.folder import FolderTraining, pixel_multiple, train_on_folder
from lumina_3d.cameras import ELEVATIONS, Camera, orbit
from lumina_3d.pipeline import ObjectPipeline
from lumina_3d.transforms import TRANSFORMS, load_views

logger = logging.getLogger(__name__)

DEGREES = 2.0
"""How far a camera may be from where the model takes it to be."""


@dataclass(frozen=True, kw_only=True)
class FolderRecipe(FolderTraining):
    """Training of a whole pipeline's network, and of its text encoder if asked, on folders of views.

    A ``file_name`` names the ``transforms.json`` in a folder of pictures, as ``lumina_3d.save_views`` writes them and
    NeRF tools keep them. The cameras must stand as :func:`lumina_3d.orbit` puts as many of them, at any distance, which
    is where the model takes them to be: it is not told.

    Attributes:
        max_pixels: Larger views are scaled down to about this area, keeping their shape.
    """

    max_pixels: int = 64 * 64

    def loader(self, components: Components) -> Callable[[Path], Tensor]:
        """What reads views as a latent (C, N, h, w)."""
        multiple = pixel_multiple(components, self.max_pixels)
        elevations = components.defaults.get("elevations", ELEVATIONS)

        def load(path: Path) -> Tensor:
            views = read_pixels(path, multiple=multiple, max_pixels=self.max_pixels, elevations=elevations)
            latents = components.codec.encode(views.to(components.model.device)).cpu()
            return einops.rearrange(latents, "n c h w -> c n h w")

        return load


def folder(config: FolderRecipe, *, resume: bool = False) -> Path:
    """Train a pipeline on a folder of views and write it as a model folder.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        DataError: The folder, its manifest or a view cannot be used.
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    return train_on_folder(config, ObjectPipeline, resume=resume)


def read_pixels(path: Path, *, multiple: int, max_pixels: int, elevations: Sequence[float]) -> Tensor:
    """The views of a folder, in a size that the network can read.

    Args:
        path: Its ``transforms.json``.
        multiple: Both sides are scaled to the nearest multiple of this, at least one.
        max_pixels: Larger views are scaled down to about this area first.
        elevations: Where the cameras must stand, in turn, in degrees.

    Returns:
        (N, 3, H, W) float32 in [-1, 1].

    Raises:
        CodecError: A file is missing or damaged.
        DataError: The file has another name, or a camera stands elsewhere.
    """
    if path.name != TRANSFORMS:
        raise DataError(f"{path}: expected the {TRANSFORMS} of a folder of views")
    views = load_views(path.parent)
    expected = orbit(len(views.cameras), elevations=elevations)
    for number, (camera, place) in enumerate(zip(views.cameras, expected, strict=True)):
        if _degrees_apart(camera, place) > DEGREES:
            raise DataError(
                f"{path}: expected view {number} from azimuth {place.azimuth:.0f} and elevation {place.elevation:.0f}, "
                f"got {camera.azimuth:.0f} and {camera.elevation:.0f}; "
                f"render views with the cameras of lumina_3d.orbit({len(expected)})"
            )
    pictures = [fitted(Image.fromarray(image), multiple=multiple, max_pixels=max_pixels) for image in views.images]
    if pictures[0].size != (views.width, views.height):
        logger.info("%s: views of %dx%d scaled to %dx%d", path, views.width, views.height, *pictures[0].size)
    return to_pixels(np.stack([np.asarray(picture) for picture in pictures]))


def _degrees_apart(first: Camera, second: Camera) -> float:
    """The turn from one camera to another."""
    turn = first.matrix[:3, :3].T @ second.matrix[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
