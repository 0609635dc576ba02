"""World pictures encoded once, and batches drawn from them with captions in new words."""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import einops
import numpy as np
import torch
from flagdit_core.training.data import Batch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lumina_image.codec import ImageCodec
from lumina_image.world import describe, draw, sample_scene

WORDINGS = 4
_ENCODED_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class PictureSize:
    """One of the sizes that training pictures have.

    Attributes:
        width: In pixels.
        height: In pixels.
        share: Of the batches, relative to the other sizes'.
    """

    width: int
    height: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the curriculum.

    Attributes:
        steps: Updates in this stage.
        weights: Relative frequencies of pictures with one, two and three objects.
    """

    steps: int
    weights: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A file of encoded pictures: a pure function of these values and of the codec.

    Attributes:
        size: Of its pictures.
        num_objects: In each picture.
        index: Among the shards of that size and number of objects.
        pictures: In this shard.
        seed: Of the scenes.
    """

    size: PictureSize
    num_objects: int
    index: int
    pictures: int
    seed: int

    def path(self, folder: Path) -> Path:
        """Where the shard is kept."""
        size = f"{self.size.width}x{self.size.height}"
        return folder / f"{size}-{self.num_objects}-{self.pictures}-{self.seed}-{self.index:03d}.safetensors"


def encode_shards(shards: Sequence[Shard], codec_folder: Path, folder: Path, *, workers: int) -> None:
    """Draw and encode every shard that is not there yet.

    Args:
        shards: What is wanted.
        codec_folder: The VAE.
        folder: Where shards are kept.
        workers: Processes, one thread each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in shards if not shard.path(folder).exists()]
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(_encode_shard, shard, codec_folder, folder) for shard in missing]:
            future.result()


@torch.no_grad()
def _encode_shard(shard: Shard, codec_folder: Path, folder: Path) -> None:
    """Write one shard: latents in float16, and several wordings of each picture's caption."""
    torch.set_num_threads(1)
    codec = ImageCodec.from_pretrained(codec_folder)
    width, height = shard.size.width, shard.size.height
    generator = np.random.default_rng((shard.seed, width, height, shard.num_objects, shard.index))
    latents, captions = [], []
    for start in range(0, shard.pictures, _ENCODED_AT_ONCE):
        count = min(_ENCODED_AT_ONCE, shard.pictures - start)
        scenes = [sample_scene(generator, num_objects=shard.num_objects, aspect=width / height) for _ in range(count)]
        pixels = torch.from_numpy(np.stack([draw(scene, width, height) for scene in scenes]))
        pixels = einops.rearrange(pixels, "b h w c -> b c h w").contiguous().float() / 127.5 - 1
        latents.append(codec.encode(pixels).half())
        captions += [[describe(scene, generator) for _ in range(WORDINGS)] for scene in scenes]
    path = shard.path(folder)
    temporary = path.with_suffix(".partial")
    save_file({"latents": torch.cat(latents)}, temporary, metadata={"captions": json.dumps(captions)})
    temporary.replace(path)


class EncodedWorld:
    """Batches of encoded pictures, all of one size within a batch; a ``flagdit_core.training`` batch source.

    Args:
        shards: Encoded before.
        folder: Where they are kept.
        sizes: Of the pictures, with their shares.
        stages: The curriculum; the last stage goes on for ever.
    """

    def __init__(
        self, shards: Sequence[Shard], folder: Path, sizes: Sequence[PictureSize], stages: Sequence[Stage]
    ) -> None:
        self._sizes, self._stages = list(sizes), list(stages)
        self._latents: dict[tuple[PictureSize, int], Tensor] = {}
        self._captions: dict[tuple[PictureSize, int], list[list[str]]] = {}
        for size in sizes:
            for number in (1, 2, 3):
                paths = [s.path(folder) for s in shards if s.size == size and s.num_objects == number]
                if paths:
                    self._latents[size, number] = torch.cat([load_file(path)["latents"] for path in paths])
                    self._captions[size, number] = [words for path in paths for words in read_captions(path)]

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step, a pure function of the arguments.

        Args:
            step: Updates made before this one.
            batch_size: Examples in the batch.
            seed: Of the order.

        Returns:
            Latents (B, C, H, W) float32 and captions.
        """
        generator = np.random.default_rng((seed, step))
        shares = np.array([size.share for size in self._sizes])
        size = self._sizes[generator.choice(len(shares), p=shares / shares.sum())]
        weights = np.array(self._stage(step).weights)
        numbers = 1 + generator.choice(3, size=batch_size, p=weights / weights.sum())
        latents, captions = [], []
        for number in numbers.tolist():
            index = int(generator.integers(len(self._latents[size, number])))
            latents.append(self._latents[size, number][index])
            captions.append(self._captions[size, number][index][int(generator.integers(WORDINGS))])
        return Batch(latents=torch.stack(latents).float(), captions=captions)

    def _stage(self, step: int) -> Stage:
        for stage in self._stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self._stages[-1]


def read_captions(path: Path) -> list[list[str]]:
    """The wordings of each picture in a shard.

    Args:
        path: Of the shard.

    Returns:
        ``WORDINGS`` captions for each picture.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        captions: list[list[str]] = json.loads(file.metadata()["captions"])
    return captions
