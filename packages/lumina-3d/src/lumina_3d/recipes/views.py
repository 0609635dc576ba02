"""Views of the world for training: scenes share geometry, which is rendered once and then only painted."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import einops
import numpy as np
import torch
from torch import Tensor

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes import Part, Stage
from lumina_3d.cameras import ELEVATIONS, Camera, orbit
from lumina_3d.views import Views
from lumina_3d.world import CATEGORIES, Scene, describe, sample_scene
from lumina_3d.world.building import arrangement_of, paint, shade
from lumina_3d.world.geometry import Arrangement

WORDINGS = 4
"""Captions of each object."""

_ENCODED_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class ViewsKind:
    """A kind of training objects; a ``flagdit_core.recipes.Kind``.

    Attributes:
        category: One of ``CATEGORIES``.
        num_views: Of each object, at equal azimuths from the front on.
        elevations: Of the cameras, in turn, in degrees.
        size: Side of the views, in pixels.
    """

    category: str
    num_views: int = 12
    elevations: tuple[float, ...] = ELEVATIONS
    size: int = 64

    @property
    def name(self) -> str:
        """Fit for a file name."""
        heights = "-".join(f"{elevation:g}" for elevation in self.elevations)
        return f"{self.category.replace(' ', '-')}-{self.num_views}x{self.size}-from-{heights}"

    @property
    def seed(self) -> tuple[int, ...]:
        """Numbers that tell it from other kinds."""
        return CATEGORIES.index(self.category), self.num_views, self.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for kinds whose latents have one shape."""
        return self.num_views, self.size

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Settings of a pipeline that makes views of this kind."""
        return {
            "num_views": self.num_views,
            "elevations": list(self.elevations),
            "width": self.size,
            "height": self.size,
        }


def views_stage(*, steps: int, objects: Mapping[str, int], shares: Mapping[str, float], num_views: int = 12) -> Stage:
    """A stage of views of one number and size.

    Args:
        steps: Updates.
        objects: Category to how many different ones.
        shares: Category to its share.
        num_views: Of each object.

    Returns:
        The stage.
    """
    return Stage(
        steps=steps,
        parts=tuple(
            Part(kind=ViewsKind(category=category, num_views=num_views), share=share, examples=objects[category])
            for category, share in shares.items()
        ),
    )


def encode_views(
    kind: ViewsKind, count: int, generator: np.random.Generator, codec_folder: Path
) -> tuple[Tensor, list[list[str]]]:
    """Encoded training objects and their captions; a ``flagdit_core.recipes.encoded.Encode``.

    Args:
        kind: Which objects.
        count: How many.
        generator: Source of randomness; the result is a pure function of its state.
        codec_folder: The picture VAE.

    Returns:
        Latents (count, C, num_views, size / 8, size / 8), float32, and several wordings of each caption.
    """
    codec = PictureCodec.from_pretrained(codec_folder)
    codec.vae.to(memory_format=torch.channels_last)
    cameras = orbit(kind.num_views, elevations=kind.elevations)
    latents, captions = [], []
    for start in range(0, count, _ENCODED_AT_ONCE):
        together = min(_ENCODED_AT_ONCE, count - start)
        scenes = [sample_scene(generator, category=kind.category) for _ in range(together)]
        images = np.concatenate([training_views(scene, cameras, kind.size).images for scene in scenes])
        encoded = codec.encode(to_pixels(images))
        latents.append(einops.rearrange(encoded, "(b t) c h w -> b c t h w", t=kind.num_views))
        captions += [[describe(scene, generator) for _ in range(WORDINGS)] for scene in scenes]
    return torch.cat(latents), captions


def random_views(generator: np.random.Generator, count: int, size: int, *, held_out: bool = False) -> Tensor:
    """Single views of random objects, for the VAE.

    Args:
        generator: Source of randomness; the pictures are a pure function of its state.
        count: How many.
        size: Side in pixels.
        held_out: Of objects that are held out of training.

    Returns:
        Pictures (count, 3, size, size), float32 in [-1, 1].
    """
    cameras = orbit()
    scenes = [sample_scene(generator, split="held_out" if held_out else "train") for _ in range(count)]
    chosen = generator.integers(len(cameras), size=count)
    views = [training_views(scene, cameras, size).images[number] for scene, number in zip(scenes, chosen, strict=True)]
    return to_pixels(np.stack(views))


def training_views(scene: Scene, cameras: tuple[Camera, ...], size: int) -> Views:
    """The same as :func:`lumina_3d.world.show`, with what was rendered kept for other scenes of the same geometry."""
    return paint(_shaded(arrangement_of(scene), cameras, size), scene)


# All geometries of the world: 18 alone, 108 on another, 324 side by side; 66 MB for 12 views of 64 pixels.
@lru_cache(maxsize=450)
def _shaded(arrangement: Arrangement, cameras: tuple[Camera, ...], size: int) -> Views:
    return shade(arrangement, cameras, size)
