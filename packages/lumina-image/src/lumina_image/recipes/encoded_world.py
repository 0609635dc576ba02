"""World pictures encoded once, and batches drawn from them with captions in new words."""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import einops
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.training.data import Batch
from lumina_image.world import describe, draw, sample_scene

Kind = tuple[int, int, int]
WORDINGS = 4
SHARD_PICTURES = 500
_ENCODED_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class PictureSize:
    """One of the sizes that training pictures have.

    Attributes:
        width: In pixels.
        height: In pixels.
        share: Of a stage's batches, relative to the other sizes'.
    """

    width: int
    height: int
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the curriculum.

    Attributes:
        steps: Updates in this stage.
        weights: Relative frequencies of pictures with one, two and three objects.
        sizes: Of the pictures; each batch has one of them.
        pictures: Different pictures of each number of objects, over all sizes.
    """

    steps: int
    weights: tuple[float, float, float]
    sizes: tuple[PictureSize, ...]
    pictures: int


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """The stage that an update belongs to.

    Args:
        stages: The curriculum.
        step: Updates made before this one.

    Returns:
        Its stage; the last one after the end.
    """
    for stage in stages:
        if step < stage.steps:
            return stage
        step -= stage.steps
    return stages[-1]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A file of encoded pictures: a pure function of these values and of the codec.

    Attributes:
        width: Of its pictures, in pixels.
        height: Of its pictures, in pixels.
        num_objects: In each picture.
        index: Among the shards of that size and number of objects.
        pictures: In this shard.
        seed: Of the scenes.
    """

    width: int
    height: int
    num_objects: int
    index: int
    pictures: int
    seed: int

    def path(self, folder: Path) -> Path:
        """Where the shard is kept."""
        name = f"{self.width}x{self.height}-{self.num_objects}-{self.pictures}-{self.seed}-{self.index:03d}"
        return folder / f"{name}.safetensors"


def wanted_shards(stages: Sequence[Stage], *, seed: int) -> list[Shard]:
    """The encoded pictures that a curriculum needs, in the order in which it needs them.

    Args:
        stages: The curriculum.
        seed: Of the scenes.

    Returns:
        Each shard once, also where several stages use it.
    """
    shards = dict[Shard, None]()
    for stage in stages:
        total = sum(size.share for size in stage.sizes)
        for size in stage.sizes:
            pictures = max(1, round(stage.pictures * size.share / total))
            for number in (number for number in (1, 2, 3) if stage.weights[number - 1]):
                for index, start in enumerate(range(0, pictures, SHARD_PICTURES)):
                    count = min(SHARD_PICTURES, pictures - start)
                    kind = {"width": size.width, "height": size.height, "num_objects": number}
                    shards[Shard(**kind, index=index, pictures=count, seed=seed)] = None
    return list(shards)


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
        done = as_completed([pool.submit(_encode_shard, shard, codec_folder, folder) for shard in missing])
        try:
            for future in tqdm(done, total=len(missing), desc="encoding pictures", disable=None):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@torch.no_grad()
def _encode_shard(shard: Shard, codec_folder: Path, folder: Path) -> None:
    """Write one shard: latents in float16, and several wordings of each picture's caption."""
    torch.set_num_threads(1)
    # Faster on a CPU than float32 with the channels first; the rounding is far below the noise of training.
    codec = PictureCodec.from_pretrained(codec_folder, dtype=torch.bfloat16)
    codec.vae.to(memory_format=torch.channels_last)
    width, height = shard.width, shard.height
    generator = np.random.default_rng((shard.seed, width, height, shard.num_objects, shard.index))
    latents, captions = [], []
    for start in range(0, shard.pictures, _ENCODED_AT_ONCE):
        count = min(_ENCODED_AT_ONCE, shard.pictures - start)
        scenes = [sample_scene(generator, num_objects=shard.num_objects, aspect=width / height) for _ in range(count)]
        pixels = torch.from_numpy(np.stack([draw(scene, width, height) for scene in scenes]))
        pixels = einops.rearrange(pixels, "b h w c -> b c h w").float() / 127.5 - 1
        latents.append(codec.encode(pixels).half().contiguous())
        captions += [[describe(scene, generator) for _ in range(WORDINGS)] for scene in scenes]
    path = shard.path(folder)
    temporary = path.with_suffix(".partial")
    save_file({"latents": torch.cat(latents)}, temporary, metadata={"captions": json.dumps(captions)})
    temporary.replace(path)


class EncodedWorld:
    """Batches of encoded pictures, all of one size within a batch; a ``flagdit_core.training`` batch source.

    Args:
        stages: The curriculum; the last stage goes on for ever.
        folder: Where the shards are, encoded before.
        seed: Of the scenes.
    """

    def __init__(self, stages: Sequence[Stage], folder: Path, *, seed: int) -> None:
        self._stages, self._folder = list(stages), folder
        self._shards: dict[Kind, list[Shard]] = {}
        for shard in wanted_shards(stages, seed=seed):
            self._shards.setdefault((shard.width, shard.height, shard.num_objects), []).append(shard)
        self._loaded: dict[Kind, tuple[Tensor, list[list[str]]]] = {}

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
        stage = stage_at(self._stages, step)
        shares, weights = np.array([size.share for size in stage.sizes]), np.array(stage.weights)
        size = stage.sizes[generator.choice(len(shares), p=shares / shares.sum())]
        numbers = 1 + generator.choice(3, size=batch_size, p=weights / weights.sum())
        latents, captions = [], []
        for number in numbers.tolist():
            known_latents, known_captions = self._pictures((size.width, size.height, number))
            index = int(generator.integers(len(known_latents)))
            latents.append(known_latents[index])
            captions.append(known_captions[index][int(generator.integers(WORDINGS))])
        return Batch(latents=torch.stack(latents).float(), captions=captions)

    def _pictures(self, kind: Kind) -> tuple[Tensor, list[list[str]]]:
        """All latents of a kind and their captions, read when first used."""
        if kind not in self._loaded:
            parts = [_read_shard(shard.path(self._folder)) for shard in self._shards[kind]]
            captions = [words for _, shard_captions in parts for words in shard_captions]
            self._loaded[kind] = torch.cat([latents for latents, _ in parts]), captions
        return self._loaded[kind]


def _read_shard(path: Path) -> tuple[Tensor, list[list[str]]]:
    """Latents, and the wordings of each picture's caption."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("latents"), json.loads(file.metadata()["captions"])
