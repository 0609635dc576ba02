"""Films of the world for the recipes: their kinds, and how they become latents."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flagdit_core.recipes import Part, Stage
from lumina_video.codec import FilmCodec, load_codec, to_pixels
from lumina_video.world import describe, draw, sample_scene

WORDINGS = 4


@dataclass(frozen=True, kw_only=True)
class FilmKind:
    """Films of one size, length and category.

    Attributes:
        width: In pixels.
        height: In pixels.
        num_frames: In each film.
        fps: Frames a second, of a pipeline that makes such films.
        category: Of ``lumina_video.world``.
    """

    width: int
    height: int
    num_frames: int
    fps: float
    category: str

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.width}x{self.height}x{self.num_frames}-{self.category.replace(' ', '-')}"

    @property
    def seed(self) -> tuple[int, ...]:
        """Numbers that tell it from other kinds."""
        return self.width, self.height, self.num_frames, *self.category.encode()

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for films that may share a batch."""
        return self.width, self.height, self.num_frames

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Settings of a pipeline that makes such films."""
        return {"width": self.width, "height": self.height, "num_frames": self.num_frames, "fps": self.fps}


def film_stage(
    *,
    steps: int,
    films: Mapping[str, int],
    shares: Mapping[str, float],
    side: int = 64,
    num_frames: int = 8,
    fps: float = 4.0,
) -> Stage:
    """A stage of square films.

    Args:
        steps: Updates.
        films: Category to how many different ones.
        shares: Category to its share.
        side: Of the frames, in pixels.
        num_frames: Of each film.
        fps: Frames a second.

    Returns:
        The stage.
    """
    parts = []
    for category, share in shares.items():
        kind = FilmKind(width=side, height=side, num_frames=num_frames, fps=fps, category=category)
        parts.append(Part(kind=kind, share=share, examples=films[category]))
    return Stage(steps=steps, parts=tuple(parts))


@cache
def _codec(folder: Path) -> FilmCodec:
    """The codec in the form that is fastest on a CPU; its rounding is far below the noise of training."""
    return load_codec(folder, dtype=torch.bfloat16)


def encode_films(
    kind: FilmKind, count: int, generator: np.random.Generator, codec_folder: Path
) -> tuple[Tensor, list[list[str]]]:
    """Draw films of a kind and encode them.

    Args:
        kind: Which.
        count: How many.
        generator: Of the scenes.
        codec_folder: The VAE.

    Returns:
        Latents (count, C, t, h, w) float32, and several wordings of each film's caption.
    """
    codec, latents, captions = _codec(codec_folder), [], []
    for _ in range(count):
        scene = sample_scene(generator, category=kind.category)
        film = torch.from_numpy(draw(scene, kind.num_frames, kind.width, kind.height))
        latents.append(codec.encode(to_pixels(film)))
        captions.append([describe(scene, generator) for _ in range(WORDINGS)])
    return torch.cat(latents), captions
