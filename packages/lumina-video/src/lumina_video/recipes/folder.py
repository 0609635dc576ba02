"""Train on a folder of films with captions, each at its own size and shape."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.picture_files import fitted
from flagdit_core.pipeline import Components
from flagdit_core.recipes.folder import FolderTraining, pixel_multiple, train_on_folder
from lumina_video.codec import to_pixels
from lumina_video.film import Film, Picture
from lumina_video.pipeline import VideoPipeline
from lumina_video.reading import read_film

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FolderRecipe(FolderTraining):
    """Training of a whole pipeline's network, and of its text encoder if asked, on a folder of films.

    Attributes:
        max_pixels: Larger films are scaled down to about this area of a frame, keeping their shape.
        max_frames: Of longer films the beginning is taken; None is as many as the model's own films have.
        fps: Frames are taken at this rate; None is the model's own.
    """

    max_pixels: int = 128 * 128
    max_frames: int | None = None
    fps: float | None = None

    def loader(self, components: Components) -> Callable[[Path], Tensor]:
        """What reads a film as a latent (C, t, h, w)."""
        multiple, defaults = pixel_multiple(components, self.max_pixels), components.defaults
        fps = defaults.get("fps") if self.fps is None else self.fps
        most = defaults.get("num_frames") if self.max_frames is None else self.max_frames
        if fps is None or most is None:
            raise ConfigError("this model has no length or rate of its own; set max_frames and fps")
        if not fps > 0 or most < 1:
            raise ConfigError(f"fps must be above 0 and max_frames at least 1, got {fps} and {most}")

        def load(path: Path) -> Tensor:
            film = read_pixels(
                path,
                multiple=multiple,
                max_pixels=self.max_pixels,
                max_frames=most,
                fps=fps,
                stride=components.codec.stride[0],
            )
            latent: Tensor = components.codec.encode(film[None].to(components.model.device))[0].cpu()
            return latent

        return load


def folder(config: FolderRecipe, *, resume: bool = False) -> Path:
    """Train a pipeline on a folder of films and write it as a model folder.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        DataError: The folder, its manifest or a film cannot be used.
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    return train_on_folder(config, VideoPipeline, resume=resume)


def read_pixels(path: Path, *, multiple: int, max_pixels: int, max_frames: int, fps: float, stride: int) -> Tensor:
    """The beginning of a film file, in sizes, rate and length that the network can read.

    Args:
        path: Any film that FFmpeg reads.
        multiple: Both sides are scaled to the nearest multiple of this, at least one.
        max_pixels: Larger frames are scaled down to about this area first.
        max_frames: Longest film.
        fps: Frames a second; the film's own are left out or repeated.
        stride: Frames that the codec makes one latent frame of, after the first: the end is cut to fit.

    Returns:
        (3, T, H, W) float32 in [-1, 1].

    Raises:
        CodecError: The file is not a film, or is damaged.
    """
    film = read_film(path)
    found = list(_at_rate(film, fps, max_frames))
    del found[1 + (len(found) - 1) // stride * stride :]
    frames = [fitted(Image.fromarray(frame), multiple=multiple, max_pixels=max_pixels) for frame in found]
    height, width = found[0].shape[:2]
    size = frames[0].size
    if size != (width, height) or len(frames) < len(film.frames):
        logger.info(
            "%s: %d frames of %dx%d at %.3g fps taken as %d of %dx%d at %.3g fps",
            path, len(film.frames), width, height, film.fps, len(frames), *size, fps,
        )  # fmt: skip
    return to_pixels(torch.from_numpy(np.stack([np.asarray(frame) for frame in frames])))[0]


def _at_rate(film: Film, fps: float, most: int) -> Iterator[Picture]:
    """What is on screen at 0, 1 / fps, 2 / fps, ... seconds."""
    taken = 0
    for number, frame in enumerate(film.frames):
        while taken < most and taken * film.fps < (number + 1) * fps:
            yield frame
            taken += 1
        if taken == most:
            return
