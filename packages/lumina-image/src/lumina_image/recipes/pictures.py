"""Pictures of the world for the recipes: their kinds, and how they become latents."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes import Part, Stage
from lumina_image.world import describe, draw, sample_scene

WORDINGS = 4
_ENCODED_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class PictureKind:
    """Pictures of one size with so many objects.

    Attributes:
        width: In pixels.
        height: In pixels.
        num_objects: In each picture.
    """

    width: int
    height: int
    num_objects: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.width}x{self.height}-{self.num_objects}"

    @property
    def seed(self) -> tuple[int, ...]:
        """Numbers that tell it from other kinds."""
        return self.width, self.height, self.num_objects

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for pictures that may share a batch."""
        return self.width, self.height

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Settings of a pipeline that draws such pictures."""
        return {"width": self.width, "height": self.height}


def picture_stage(
    *,
    steps: int,
    pictures: Mapping[int, int],
    sizes: Mapping[tuple[int, int], float],
    shares: Mapping[int, float],
) -> Stage:
    """A stage of pictures of several sizes and numbers of objects.

    Args:
        steps: Updates.
        pictures: Number of objects to how many different ones, over all sizes.
        sizes: (width, height) in pixels to the share of the batches.
        shares: Number of objects to the share of the pictures in a batch.

    Returns:
        The stage.
    """
    total = sum(sizes.values())
    return Stage(
        steps=steps,
        parts=tuple(
            Part(
                kind=PictureKind(width=width, height=height, num_objects=number),
                share=share * part,
                examples=max(1, round(pictures[number] * share / total)),
            )
            for (width, height), share in sizes.items()
            for number, part in shares.items()
        ),
    )


@cache
def _codec(folder: Path) -> PictureCodec:
    """The VAE in the form that is fastest on a CPU; its rounding is far below the noise of training."""
    return PictureCodec.from_pretrained(folder, dtype=torch.bfloat16)


def encode_pictures(
    kind: PictureKind, count: int, generator: np.random.Generator, codec_folder: Path
) -> tuple[Tensor, list[list[str]]]:
    """Draw pictures of a kind and encode them.

    Args:
        kind: Which.
        count: How many.
        generator: Of the scenes.
        codec_folder: The VAE.

    Returns:
        Latents (count, C, H, W) float32, and several wordings of each picture's caption.
    """
    codec, latents, captions = _codec(codec_folder), [], []
    width, height = kind.width, kind.height
    for start in range(0, count, _ENCODED_AT_ONCE):
        scenes = [
            sample_scene(generator, num_objects=kind.num_objects, aspect=width / height)
            for _ in range(min(_ENCODED_AT_ONCE, count - start))
        ]
        latents.append(codec.encode(to_pixels(np.stack([draw(scene, width, height) for scene in scenes]))))
        captions += [[describe(scene, generator) for _ in range(WORDINGS)] for scene in scenes]
    return torch.cat(latents), captions
