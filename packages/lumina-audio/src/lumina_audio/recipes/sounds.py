"""Sounds of the world for the recipes: their kinds, and how they become latents."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flagdit_core.recipes import Part, Stage
from lumina_audio.codec import SoundCodec
from lumina_audio.phonemes import Spelling, spell
from lumina_audio.pipeline import AudioPipeline
from lumina_audio.world import describe, render, sample_scene
from lumina_audio.world.sampling import ALL_TOLD, TOLD

WORDINGS = 4


@dataclass(frozen=True, kw_only=True)
class SoundKind:
    """Sounds of one duration and category.

    Attributes:
        seconds: Duration.
        category: Of ``lumina_audio.world``.
        spelling: Of what captions say in quotes.
        all_told: Captions tell all that is heard, rather than each fact as often as the world's prompts do.
    """

    seconds: float
    category: str
    spelling: Spelling = "characters"
    all_told: bool = False

    @property
    def name(self) -> str:
        """Of its files."""
        told = "-all-told" if self.all_told else ""
        return f"{self.seconds:g}s-{self.category.replace(' ', '-')}-{self.spelling}{told}"

    @property
    def seed(self) -> tuple[int, ...]:
        """Numbers that tell it from other kinds."""
        return round(1000 * self.seconds), *self.category.encode(), *([1] if self.all_told else [])

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for sounds that may share a batch."""
        return (round(1000 * self.seconds),)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Settings of a pipeline that makes such sounds."""
        return {"audio_length_in_s": self.seconds, "spelling": self.spelling}


def sound_stage(
    *,
    steps: int,
    sounds: int,
    seconds: float,
    categories: Mapping[str, float],
    spelling: Spelling = "characters",
    all_told: bool = False,
) -> Stage:
    """A stage of sounds of one duration.

    Args:
        steps: Updates.
        sounds: Different ones of each category.
        seconds: Duration.
        categories: Category to its share.
        spelling: Of what captions say in quotes.
        all_told: Captions tell all that is heard.

    Returns:
        The stage.
    """
    kinds = {
        category: SoundKind(seconds=seconds, category=category, spelling=spelling, all_told=all_told)
        for category in categories
    }
    parts = (Part(kind=kinds[category], share=share, examples=sounds) for category, share in categories.items())
    return Stage(steps=steps, parts=tuple(parts))


@cache
def _codec(folder: Path) -> SoundCodec:
    """The codec, loaded once in a process."""
    return AudioPipeline.load_codec(folder, dtype=torch.float32)


def encode_sounds(
    kind: SoundKind, count: int, generator: np.random.Generator, codec_folder: Path
) -> tuple[Tensor, list[list[str]]]:
    """Render sounds of a kind and encode them.

    Args:
        kind: Which.
        count: How many.
        generator: Of the scenes.
        codec_folder: The VAE.

    Returns:
        Latents (count, C, L) or (count, C, R, L), float32, and several wordings of each sound's caption.

    Raises:
        BackendUnavailableError: Captions are spelled in phonemes, and espeak-ng is not installed.
    """
    codec, latents, captions = _codec(codec_folder), [], []
    told = ALL_TOLD if kind.all_told else TOLD
    for _ in range(count):
        scene = sample_scene(generator, category=kind.category, seconds=kind.seconds, told=told)
        latents.append(codec.encode(torch.from_numpy(render(scene).samples)[None]))
        captions.append([spell(describe(scene, generator), kind.spelling) for _ in range(WORDINGS)])
    return torch.cat(latents), captions
