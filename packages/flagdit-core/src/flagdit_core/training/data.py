"""Batches as pure functions of (seed, step), so that a resumed run needs no loader state."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from flagdit_core.errors import DataError
from flagdit_core.layout import Latents
from flagdit_core.text_encoder import TokenBatch


@dataclass(frozen=True, kw_only=True)
class Example:
    """One latent with its caption.

    Attributes:
        latent: (C, H, W), (C, T, H, W) or (C, L), already scaled as the network expects.
        caption: What it shows.
    """

    latent: Tensor
    caption: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one training step learns from.

    Attributes:
        latents: One tensor (B, ...) of equal latents, or a list of B unequal ones.
        captions: B texts, or their tokens where the source tokenizes ahead; None without text.
        labels: (B,) int64 classes for a label-conditional network, else None.
        rewards: (B,) float32 in [0, 1], how good each latent is, which the network made itself: it learns from them by
            ``flow.reward_loss``. None for data, which it learns to make.
    """

    latents: Latents
    captions: list[str] | TokenBatch | None = None
    labels: Tensor | None = None
    rewards: Tensor | None = None

    def part(self, part: slice) -> "Batch":
        """Some of its examples."""
        return Batch(
            latents=self.latents[part],
            captions=None if self.captions is None else self.captions[part],
            labels=None if self.labels is None else self.labels[part],
            rewards=None if self.rewards is None else self.rewards[part],
        )


class BatchSource(Protocol):
    """Where batches come from. Infinite: every step has one."""

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step: the same for the same arguments, in any process and in any order of calls.

        Args:
            step: Updates made before this one, at least 0.
            batch_size: Examples in the batch. A source may give fewer or more, where some of its examples are longer.
            seed: Of the run.

        Returns:
            The batch, on any device.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """A source whose batches the trained networks make: it is asked for each when the updates before are done.

    Attributes:
        source: Called while the networks hold their averaged weights, in evaluation mode, without gradients.
    """

    source: BatchSource


class Examples(Protocol):
    """A finite collection whose items are made on access, such as a list or a ``FolderDataset``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


class ExampleSource:
    """Batches from a finite collection, each epoch in a new order.

    Args:
        examples: What to learn from.

    Raises:
        DataError: There are none.
    """

    def __init__(self, examples: Examples) -> None:
        if not len(examples):
            raise DataError("expected at least one example to learn from, got none")
        self._examples = examples
        self._order: tuple[tuple[int, int], np.ndarray] | None = None

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """Examples number ``step * batch_size`` and following of the endless sequence of shuffled epochs.

        Args:
            step: Updates made before this one.
            batch_size: Examples in the batch.
            seed: Of the order.

        Returns:
            The batch: one tensor if all latents have one shape, else a list.
        """
        first = step * batch_size
        chosen = [self._examples[self._index(place, seed)] for place in range(first, first + batch_size)]
        return collate(chosen)

    def _index(self, place: int, seed: int) -> int:
        epoch, offset = divmod(place, len(self._examples))
        if self._order is None or self._order[0] != (seed, epoch):
            self._order = ((seed, epoch), np.random.default_rng((seed, epoch)).permutation(len(self._examples)))
        return int(self._order[1][offset])


def collate(examples: Sequence[Example]) -> Batch:
    """A batch of examples.

    Args:
        examples: At least one.

    Returns:
        Their latents as one tensor if all have one shape, else as a list; their captions.
    """
    latents = [example.latent for example in examples]
    equal = len({latent.shape for latent in latents}) == 1
    return Batch(latents=torch.stack(latents) if equal else latents, captions=[example.caption for example in examples])


def step_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """All randomness of one step: times, noise and dropped captions.

    Args:
        seed: Of the run.
        step: Updates made before this one.
        device: Where the random numbers are wanted.

    Returns:
        A generator that depends on nothing else.
    """
    # SeedSequence spreads neighbouring (seed, step) pairs over all 64 bits
    state = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
    return torch.Generator(device=device).manual_seed(state >> 1)


@contextmanager
def prefetched(
    make: Callable[[int], Batch], start: int, stop: int, *, ahead: int
) -> Iterator[Iterator[tuple[int, Batch]]]:
    """The batches of steps [start, stop), made ahead of time by one thread.

    Args:
        make: The batch of a step.
        start: First step.
        stop: Step after the last.
        ahead: Batches made before they are asked for; 0 makes each when it is asked for.

    Yields:
        An iterator of (step, batch).
    """
    if ahead == 0:
        yield ((step, make(step)) for step in range(start, stop))
        return
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")

    def batches() -> Iterator[tuple[int, Batch]]:
        pending: dict[int, Future[Batch]] = {}
        for step in range(start, stop):
            for later in range(step, min(step + ahead + 1, stop)):
                if later not in pending:
                    pending[later] = pool.submit(make, later)
            yield step, pending.pop(step).result()

    try:
        yield batches()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
