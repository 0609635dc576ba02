"""Draw random scenes: which objects, how they stand, and how much of it the caption tells."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from flagdit_core.errors import ConfigError
from flagdit_core.shapes.vocabulary import COLORS
from lumina_3d.world.scene import CATEGORIES, Claims, ObjectClaim, Scene, SceneObject
from lumina_3d.world.splits import is_held_out
from lumina_3d.world.vocabulary import RELATIONS, SHAPES, SIZES, SUPPORTS

Split = Literal["train", "held_out", "any"]

TOLD_SIZE = 0.75
"""How often the caption tells an object's size."""

_ATTEMPTS = 100_000
_COLOR_NAMES = tuple(COLORS)
_SIZE_NAMES = tuple(SIZES)


def sample_scene(
    generator: np.random.Generator,
    *,
    category: str | None = None,
    weights: Sequence[float] = (0.4, 0.3, 0.3),
    split: Split = "train",
) -> Scene:
    """A random scene.

    Args:
        generator: Source of randomness; the scene is a pure function of its state.
        category: One of ``CATEGORIES``; None draws it by ``weights``.
        weights: Relative frequencies of the categories (a curriculum changes them).
        split: "train" leaves out what "held_out" consists of; "any" draws from both.

    Returns:
        The scene. Colours are always told, sizes often.

    Raises:
        ConfigError: If an argument is out of range.
    """
    if category is not None and category not in CATEGORIES:
        raise ConfigError(f"expected a category out of {', '.join(CATEGORIES)} or None, got {category!r}")
    if len(weights) != len(CATEGORIES) or min(weights) < 0 or not sum(weights) > 0:
        raise ConfigError(f"expected three weights, none negative and not all zero, got {weights!r}")
    if split not in ("train", "held_out", "any"):
        raise ConfigError(f"expected split 'train', 'held_out' or 'any', got {split!r}")
    if category is None:
        edges = np.cumsum(weights) / sum(weights)
        category = CATEGORIES[int(np.searchsorted(edges, generator.random(), side="right"))]
    for _ in range(_ATTEMPTS):
        scene = _propose(generator, category)
        if split == "any" or is_held_out(scene.claims) == (split == "held_out"):
            return scene
    raise AssertionError("rejection sampling did not end")


def _propose(generator: np.random.Generator, category: str) -> Scene:
    def pick(words: Sequence[str]) -> str:
        return words[int(generator.integers(len(words)))]

    relation = (None, *RELATIONS)[CATEGORIES.index(category)]
    count = 1 if relation is None else 2
    colors = generator.permutation(len(COLORS))[:count]
    objects = tuple(
        SceneObject(
            shape=pick(SUPPORTS if relation == "on" and number == 1 else SHAPES),
            color=_COLOR_NAMES[color],
            size=pick(_SIZE_NAMES),
        )
        for number, color in enumerate(colors)
    )
    told = [
        ObjectClaim(shape=item.shape, color=item.color, size=item.size if generator.random() < TOLD_SIZE else None)
        for item in objects
    ]
    return Scene(objects=objects, claims=Claims(objects=tuple(told), relation=relation))
