"""What all runs learn from and are judged by: pictures of one object, encoded once, and held-out ones.

Shape suffixes: B pictures, C channels, H and W cells of the latent.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes import EncodedWorld, Part, Stage, encode_shards, wanted_shards
from flagdit_core.scenes import prompts_in_turn
from flagdit_core.text_encoder import TextEncoder, build_small_text_encoder
from lumina_image.modality import MODALITY
from lumina_image.recipes.nano import caption
from lumina_image.recipes.pictures import PictureKind, encode_pictures
from lumina_image.world import CATEGORIES, describe, draw, sample_scene

SIDE = 64
CODEC = MODALITY.models["nano"] / "vae"
_CAPTIONS_OF_TOKENIZER = 5000


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Held-out pictures with their captions.

    Attributes:
        latents_BCHW: float32.
        captions: One each.
    """

    latents_BCHW: Tensor
    captions: list[str]


def training_pictures(folder: Path, *, pictures: int) -> EncodedWorld:
    """Batches of encoded pictures, which are drawn and encoded first where they are not there yet.

    Args:
        folder: Where the encoded pictures are kept.
        pictures: How many different ones.

    Returns:
        The source; its order is the seed of the run's, its pictures are always the same.
    """
    kind = PictureKind(width=SIDE, height=SIDE, num_objects=1)
    stage = Stage(steps=1, parts=(Part(kind=kind, examples=pictures),))
    encode_shards(wanted_shards([stage], seed=0), encode_pictures, CODEC, folder, workers=1)
    return EncodedWorld([stage], folder, seed=0)


@cache
def codec() -> PictureCodec:
    """The shipped VAE, in the form that is fastest on a CPU."""
    return PictureCodec.from_pretrained(CODEC, dtype=torch.bfloat16)


@cache
def held_out_pictures(count: int) -> HeldOut:
    """Pictures whose captions never occur in training.

    Args:
        count: How many; always the same ones.

    Returns:
        Their latents and captions.
    """
    generator = np.random.default_rng(1)
    scenes = [sample_scene(generator, num_objects=1, split="held_out") for _ in range(count)]
    pixels = to_pixels(np.stack([draw(scene, SIDE, SIDE) for scene in scenes]))
    with torch.no_grad():
        latents = torch.cat([codec().encode(part) for part in pixels.split(16)])
    return HeldOut(latents_BCHW=latents.float(), captions=[describe(scene, generator) for scene in scenes])


@cache
def held_out_prompts(count: int) -> tuple[str, ...]:
    """Captions of one object that never occur in training; always the same ones."""

    def one_object(generator: np.random.Generator, _: str) -> str:
        return describe(sample_scene(generator, num_objects=1, split="held_out"), generator)

    return tuple(prompt.text for prompt in prompts_in_turn(count, CATEGORIES[:1], one_object, seed=0))


@cache
def _tokenizer_captions() -> tuple[str, ...]:
    generator = np.random.default_rng(0)
    return tuple(caption(generator) for _ in range(_CAPTIONS_OF_TOKENIZER))


def text_encoder(*, width: int, seed: int) -> TextEncoder:
    """The untrained text encoder, whose tokenizer is always the same.

    Args:
        width: Of its features.
        seed: Of its weights.

    Returns:
        The encoder in training mode.
    """
    return build_small_text_encoder(
        _tokenizer_captions(), vocab_size=512, hidden_size=width, num_layers=1, num_heads=4, max_tokens=96, seed=seed
    )
