"""Batches of several sources, each batch of one of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flagdit_core.training import Batch
from flagdit_core.training.data import BatchSource


@dataclass(frozen=True, kw_only=True)
class Ration:
    """How much of a training is of one source.

    Attributes:
        updates: Of all updates, relative to the other sources'.
        examples: In a batch, as a fraction of ``training.batch_size``: fewer where an example has more tokens.
    """

    updates: float = 1.0
    examples: float = 1.0

    def of(self, batch_size: int) -> int:
        """Examples in a batch, at least 1."""
        return max(1, round(self.examples * batch_size))


class Mixture:
    """A ``flagdit_core.training`` batch source whose batches are of one source each.

    Equal latents in a batch take the dense path through the network, which costs less than a packed mix of shapes.

    Args:
        sources: By name.
        rations: Of each of them.
    """

    def __init__(self, sources: Mapping[str, BatchSource], rations: Mapping[str, Ration]) -> None:
        self._sources, self._rations = sources, rations

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step, a pure function of the arguments.

        Args:
            step: Updates made before this one.
            batch_size: Examples in a batch of a source with a whole ration.
            seed: Of the run.

        Returns:
            The batch that the step's source has for the step.
        """
        name = turn(self._rations, step, seed=seed)
        return self._sources[name].batch(step, batch_size=self._rations[name].of(batch_size), seed=seed)


def turn(rations: Mapping[str, Ration], step: int, *, seed: int) -> str:
    """The source of a step's batch.

    Args:
        rations: Of each source.
        step: Updates made before this one.
        seed: Of the run.

    Returns:
        Its name: drawn at random, a pure function of the arguments.
    """
    weights = np.array([ration.updates for ration in rations.values()])
    # Sources draw from (seed, step): this is another stream.
    generator = np.random.default_rng((seed, step, 1))
    return list(rations)[generator.choice(len(rations), p=weights / weights.sum())]


def seen(rations: Mapping[str, Ration], steps: int, *, batch_size: int, seed: int) -> dict[str, tuple[int, int]]:
    """What a run has learnt from.

    Args:
        rations: Of each source.
        steps: Updates made.
        batch_size: Of the training's settings.
        seed: Of the run.

    Returns:
        Source to its updates and its examples.
    """
    turns = [turn(rations, step, seed=seed) for step in range(steps)]
    return {name: (turns.count(name), turns.count(name) * ration.of(batch_size)) for name, ration in rations.items()}
