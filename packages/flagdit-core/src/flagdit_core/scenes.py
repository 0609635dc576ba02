"""What procedural worlds have in common: random scenes, what training never sees of them, and trust in a verifier."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, TypeVar, get_args

import numpy as np

from flagdit_core.errors import ConfigError
from flagdit_core.world import Prompt

Split = Literal["train", "held_out", "any"]
"""What may be in training, what never is, or both."""

_ATTEMPTS = 100_000
_Item = TypeVar("_Item")
_Scene = TypeVar("_Scene")


def pick(generator: np.random.Generator, items: Sequence[_Item]) -> _Item:
    """One of several, all equally likely."""
    return items[int(generator.integers(len(items)))]


def pick_other(generator: np.random.Generator, words: Iterable[str], excluded: Collection[str | None]) -> str:
    """One of the words that are not excluded, all equally likely."""
    return pick(generator, [word for word in words if word not in excluded])


def pick_weighted(generator: np.random.Generator, items: Sequence[_Item], weights: Sequence[float]) -> _Item:
    """One of several.

    Args:
        generator: Source of randomness.
        items: To choose from.
        weights: How likely each is, relative to the others.

    Returns:
        The choice.

    Raises:
        ConfigError: There is not one weight for each, one is negative, or all are zero.
    """
    if len(weights) != len(items) or min(weights) < 0 or not sum(weights) > 0:
        raise ConfigError(f"expected {len(items)} weights, none negative and not all zero, got {weights!r}")
    edges = np.cumsum(weights) / sum(weights)
    return items[int(np.searchsorted(edges, generator.random(), side="right"))]


def draw_scene(
    propose: Callable[[], _Scene | None], split: Split, split_of: Callable[[_Scene], Split | None]
) -> _Scene:
    """A random scene of a split, by rejection.

    Args:
        propose: One attempt, from a source of randomness; None where nothing comes of it.
        split: Where the scene should be from.
        split_of: Where a scene is from; None where it fits neither training nor what is held out of it.

    Returns:
        The first scene that fits.

    Raises:
        ConfigError: There is no such split, or no scene of it was found.
    """
    if split not in get_args(Split):
        raise ConfigError(f"expected split 'train', 'held_out' or 'any', got {split!r}")
    for _ in range(_ATTEMPTS):
        scene = propose()
        if scene is not None and split in ("any", split_of(scene)):
            return scene
    raise ConfigError(f"no scene of split {split!r} came of {_ATTEMPTS} attempts: leave it more room")


def is_among(facts: Iterable[str], fraction: float) -> bool:
    """Whether a combination of facts is among a fraction of all combinations, which its hash decides.

    Args:
        facts: In an order that is the same for the same combination.
        fraction: In [0, 1].

    Returns:
        The same on every machine.
    """
    digest = hashlib.blake2b("; ".join(facts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64


def prompts_in_turn(
    count: int, categories: Sequence[str], caption: Callable[[np.random.Generator, str], str], *, seed: int
) -> list[Prompt]:
    """Prompts of each category in turn; a world's ``prompts``.

    Args:
        count: How many.
        categories: Names.
        caption: A sentence for a scene of a category.
        seed: Same seed, same prompts; fewer are the beginning of more.

    Returns:
        ``count`` prompts.

    Raises:
        ConfigError: The count is negative.
    """
    if count < 0:
        raise ConfigError(f"expected a count of 0 or more, got {count}")
    generator = np.random.default_rng(seed)
    turns = (categories[number % len(categories)] for number in range(count))
    return [Prompt(text=caption(generator, category), category=category) for category in turns]


class PassRates:
    """How often a verifier says yes to what it should, or should not, say yes to.

    Args:
        *kinds: What it is asked about, such as captions that are true and captions that are not.
    """

    def __init__(self, *kinds: str) -> None:
        self._outcomes: dict[str, dict[str, list[bool]]] = {kind: {} for kind in kinds}

    def add(self, kind: str, group: str, passed: bool) -> None:
        """Count one answer, in its group and in "all"."""
        for name in (group, "all"):
            self._outcomes[kind].setdefault(name, []).append(passed)

    def as_dict(self) -> dict[str, dict[str, float]]:
        """The share of yes, 0-1, by kind and then by group."""
        return {
            kind: {group: sum(passed) / len(passed) for group, passed in sorted(groups.items())}
            for kind, groups in self._outcomes.items()
        }
