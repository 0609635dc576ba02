"""Train on a folder of sounds with captions, each at its own length."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import Components
from flagdit_core.recipes.folder import FolderTraining, train_on_folder
from lumina_audio.codec import SoundCodec
from lumina_audio.conditioning import fitting
from lumina_audio.phonemes import model_spelling, spell
from lumina_audio.pipeline import AudioPipeline
from lumina_audio.reading import read_sound

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FolderRecipe(FolderTraining):
    """Training of a whole pipeline's network, and of its text encoder if asked, on a folder of sounds.

    Attributes:
        max_seconds: Of longer sounds the beginning is taken; None is as long as the model's own sounds are.
    """

    max_seconds: float | None = None

    def loader(self, components: Components) -> Callable[[Path], Tensor]:
        """What reads a sound as a latent (C, L)."""
        codec = cast(SoundCodec, components.codec)
        seconds = components.defaults.get("audio_length_in_s") if self.max_seconds is None else self.max_seconds
        if seconds is None:
            raise ConfigError("this model has no length of its own; set max_seconds")
        if not 0 < seconds < math.inf:
            raise ConfigError(f"max_seconds must be a number above 0, got {seconds}")

        def load(path: Path) -> Tensor:
            samples = read_samples(path, codec, max_seconds=seconds)
            return codec.encode(samples[None].to(components.model.device))[0].cpu()

        return load

    def caption(self, text: str, components: Components) -> str:
        """A caption in the model's spelling."""
        return spell(text, model_spelling(components.defaults))


def folder(config: FolderRecipe, *, resume: bool = False) -> Path:
    """Train a pipeline on a folder of sounds and write it as a model folder.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        DataError: The folder, its manifest or a sound cannot be used.
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    return train_on_folder(config, AudioPipeline, resume=resume)


def read_samples(path: Path, codec: SoundCodec, *, max_seconds: float) -> Tensor:
    """The beginning of a sound file, as a codec takes it.

    Args:
        path: Any sound that libsndfile reads, at any rate.
        codec: Gives rate, channels and stride.
        max_seconds: Longest sound.

    Returns:
        (A, n) float32 in [-1, 1], n a multiple of the stride: silence fills the last latent.

    Raises:
        CodecError: The file is not a sound, or is damaged.
    """
    found = read_sound(path)
    most = max(1, round(max_seconds * found.sample_rate))
    sound = fitting(replace(found, samples=found.samples[:, :most]), codec)
    if (sound.sample_rate, sound.num_channels) != (
        found.sample_rate,
        found.num_channels,
    ) or sound.seconds < found.seconds:
        logger.info(
            "%s: %.3g s of %d channel(s) at %d Hz taken as %.3g s of %d at %d Hz",
            path, found.seconds, found.num_channels, found.sample_rate,
            sound.seconds, sound.num_channels, sound.sample_rate,
        )  # fmt: skip
    return F.pad(torch.from_numpy(sound.samples), (0, -sound.samples.shape[1] % codec.stride[0]))
