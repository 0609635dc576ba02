"""Draw random scenes: which objects, how they stand, and how much of it the caption tells."""

from collections.abc import Sequence

import numpy as np

from flagdit_core.language import check_word
from flagdit_core.scenes import Split, draw_scene, pick, pick_weighted
from flagdit_core.shapes.vocabulary import COLORS
from lumina_3d.world.scene import CATEGORIES, Claims, ObjectClaim, Scene, SceneObject
from lumina_3d.world.splits import is_held_out
from lumina_3d.world.vocabulary import RELATIONS, SHAPES, SIZES, SUPPORTS

TOLD_SIZE = 0.75
"""How often the caption tells an object's size."""

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
    if category is not None:
        check_word("category", category, CATEGORIES)
    chosen = pick_weighted(generator, CATEGORIES, weights) if category is None else category
    return draw_scene(lambda: _propose(generator, chosen), split, _split_of)


def _split_of(scene: Scene) -> Split:
    return "held_out" if is_held_out(scene.claims) else "train"


def _propose(generator: np.random.Generator, category: str) -> Scene:
    relation = (None, *RELATIONS)[CATEGORIES.index(category)]
    count = 1 if relation is None else 2
    colors = generator.permutation(len(COLORS))[:count]
    objects = tuple(
        SceneObject(
            shape=pick(generator, SUPPORTS if relation == "on" and number == 1 else SHAPES),
            color=_COLOR_NAMES[color],
            size=pick(generator, _SIZE_NAMES),
        )
        for number, color in enumerate(colors)
    )
    told = [
        ObjectClaim(shape=item.shape, color=item.color, size=item.size if generator.random() < TOLD_SIZE else None)
        for item in objects
    ]
    return Scene(objects=objects, claims=Claims(objects=tuple(told), relation=relation))
