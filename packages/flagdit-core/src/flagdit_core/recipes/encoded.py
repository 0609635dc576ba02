"""World media encoded once, and batches drawn from them with captions in new words."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from flagdit_core.training.data import Batch
from flagdit_core.training.processes import ALONE, Processes

SHARD_EXAMPLES = 500


class Kind(Protocol):
    """What training media have in common, such as their size and number of objects; a frozen dataclass.

    Attributes:
        name: Unique among the kinds of a modality; fit for a file name.
        seed: Numbers that tell it from other kinds.
        shape: A key that kinds have in common whose latents have one shape.
        defaults: Settings of a pipeline that makes media of this kind, such as their size.
    """

    @property
    def name(self) -> str:
        """Unique among the kinds of a modality; fit for a file name."""
        ...

    @property
    def seed(self) -> tuple[int, ...]:
        """Numbers that tell it from other kinds."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for kinds whose latents have one shape."""
        ...

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Settings of a pipeline that makes media of this kind."""
        ...


Encode = Callable[[Any, int, np.random.Generator, Path], tuple[Tensor, list[list[str]]]]
"""(kind, count, generator, codec folder) -> latents (count, C, ...) and several wordings of each caption.

A function of a module, so that other processes find it.
"""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A kind of media in a stage.

    Attributes:
        kind: Which.
        share: Of the stage's examples, relative to the other parts'.
        examples: How many different ones.
    """

    kind: Kind
    share: float = 1.0
    examples: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a curriculum. A batch holds kinds of one shape, mixed.

    Attributes:
        steps: Updates in this stage.
        parts: What is learnt from.
    """

    steps: int
    parts: tuple[Part, ...]

    def shapes(self) -> list[tuple[float, list[Part]]]:
        """The parts by shape, each with its share of the batches, in the order of their first mention."""
        groups: dict[tuple[int, ...], list[Part]] = {}
        for part in self.parts:
            groups.setdefault(part.kind.shape, []).append(part)
        return [(sum(part.share for part in parts), parts) for parts in groups.values()]


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
    """A file of encoded media: a pure function of these values and of the codec.

    Attributes:
        kind: Of its media.
        index: Among the shards of that kind.
        examples: In this shard.
        seed: Of the scenes.
    """

    kind: Kind
    index: int
    examples: int
    seed: int

    def path(self, folder: Path) -> Path:
        """Where the shard is kept."""
        return folder / f"{self.kind.name}-{self.examples}-{self.seed}-{self.index:03d}.safetensors"


def wanted_shards(stages: Sequence[Stage], *, seed: int) -> list[Shard]:
    """The encoded media that a curriculum needs, in the order in which it needs them.

    Args:
        stages: The curriculum.
        seed: Of the scenes.

    Returns:
        Each shard once, also where several stages use it.
    """
    shards = dict[Shard, None]()
    for part in (part for stage in stages for part in stage.parts):
        for number in range(0, part.examples, SHARD_EXAMPLES):
            shards[_shard_of(part, number, seed)] = None
    return list(shards)


def _shard_of(part: Part, number: int, seed: int) -> Shard:
    """The shard that holds an example of a part."""
    index = number // SHARD_EXAMPLES
    examples = min(SHARD_EXAMPLES, part.examples - index * SHARD_EXAMPLES)
    return Shard(kind=part.kind, index=index, examples=examples, seed=seed)


def encode_shards(
    shards: Sequence[Shard],
    encode: Encode,
    codec_folder: Path,
    folder: Path,
    *,
    workers: int,
    processes: Processes = ALONE,
) -> None:
    """Make and encode every shard that is not there yet.

    Args:
        shards: What is wanted.
        encode: Makes media of a kind and encodes them.
        codec_folder: The codec.
        folder: Where shards are kept.
        workers: Processes of one thread each that encode, for each of those that train.
        processes: Those that train, which share the shards and wait for one another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mine = shards[processes.rank :: processes.size]
    missing = [shard for shard in mine if not shard.path(folder).exists()]
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        done = as_completed([pool.submit(_encode_shard, shard, encode, codec_folder, folder) for shard in missing])
        try:
            for future in tqdm(done, total=len(missing), desc="encoding", disable=None):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    processes.wait()


@torch.no_grad()
def _encode_shard(shard: Shard, encode: Encode, codec_folder: Path, folder: Path) -> None:
    """Write one shard: latents in float16, and several wordings of each caption."""
    torch.set_num_threads(1)
    generator = np.random.default_rng((shard.seed, *shard.kind.seed, shard.index))
    latents, captions = encode(shard.kind, shard.examples, generator, codec_folder)
    path = shard.path(folder)
    temporary = path.with_suffix(".partial")
    save_file({"latents": latents.half().contiguous()}, temporary, metadata={"captions": json.dumps(captions)})
    temporary.replace(path)


class EncodedWorld:
    """Batches of encoded media, all of one shape within a batch; a ``flagdit_core.training`` batch source.

    Args:
        stages: The curriculum; the last stage goes on for ever.
        folder: Where the shards are, encoded before.
        seed: Of the scenes.
    """

    def __init__(self, stages: Sequence[Stage], folder: Path, *, seed: int) -> None:
        self._stages, self._folder, self._seed = list(stages), folder, seed
        self._loaded: dict[Shard, tuple[Tensor, list[list[str]]]] = {}

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step, a pure function of the arguments.

        Args:
            step: Updates made before this one.
            batch_size: Examples in the batch.
            seed: Of the order.

        Returns:
            Latents (B, C, ...) float32 and captions.
        """
        generator = np.random.default_rng((seed, step))
        shares, groups = zip(*stage_at(self._stages, step).shapes(), strict=True)
        parts: list[Part] = groups[generator.choice(len(groups), p=np.array(shares) / sum(shares))]
        weights = np.array([part.share for part in parts])
        latents, captions = [], []
        for choice in generator.choice(len(parts), size=batch_size, p=weights / weights.sum()).tolist():
            latent, wordings = self._example(parts[choice], int(generator.integers(parts[choice].examples)))
            latents.append(latent)
            captions.append(wordings[int(generator.integers(len(wordings)))])
        return Batch(latents=torch.stack(latents).float(), captions=captions)

    def _example(self, part: Part, number: int) -> tuple[Tensor, list[str]]:
        """A latent and the wordings of its caption; its shard is read when first used."""
        shard = _shard_of(part, number, self._seed)
        if shard not in self._loaded:
            self._loaded[shard] = _read_shard(shard.path(self._folder))
        latents, captions = self._loaded[shard]
        return latents[number % SHARD_EXAMPLES], captions[number % SHARD_EXAMPLES]


def _read_shard(path: Path) -> tuple[Tensor, list[list[str]]]:
    """Latents, and the wordings of each caption."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("latents"), json.loads(file.metadata()["captions"])
