"""How far can the verifier be trusted? Judge pictures whose truth is known."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from flagdit_core.scenes import PassRates, pick_other
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES, SIZES
from lumina_image.world.captions import describe
from lumina_image.world.drawing import draw
from lumina_image.world.sampling import sample_scene
from lumina_image.world.scene import CATEGORIES, Claims, ObjectClaim
from lumina_image.world.verifier import verify
from lumina_image.world.vocabulary import PLACES, RELATIONS

_Item = TypeVar("_Item")
Distortion = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]

_WORDS = {"shape": tuple(SHAPES), "color": tuple(COLORS), "size": tuple(SIZES), "place": tuple(PLACES)}


def swap_one(claims: Claims, generator: np.random.Generator) -> tuple[str, Claims]:
    """Change exactly one assertion into another, so that claims that are true of a picture become false.

    Args:
        claims: True claims.
        generator: Source of randomness; every assertion is equally likely to be changed.

    Returns:
        The kind of what was changed ("background", "shape", "color", "size", "place", "relation"), and the new claims.
    """
    options: list[tuple[str, int]] = [("relation", number) for number in range(len(claims.relations))]
    if claims.background is not None:
        options.append(("background", 0))
    for number, item in enumerate(claims.objects):
        options.extend((kind, number) for kind in _WORDS if getattr(item, kind) is not None)
    kind, number = options[int(generator.integers(len(options)))]
    if kind == "background":
        return kind, replace(claims, background=pick_other(generator, BACKGROUNDS, {claims.background}))
    if kind == "relation":
        relation = claims.relations[number]
        changed = replace(relation, relation=pick_other(generator, RELATIONS, {relation.relation}))
        return kind, replace(claims, relations=_put(claims.relations, number, changed))
    return kind, replace(claims, objects=_put(claims.objects, number, _swap_word(claims, number, kind, generator)))


def calibrate(
    count: int, *, width: int = 128, height: int = 128, seed: int = 0, distort: Distortion | None = None
) -> dict[str, dict[str, float]]:
    """How often the verifier says yes, over ``count`` scenes of one, two and three objects in turn.

    Args:
        count: Number of scenes.
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        seed: Seed of the scenes.
        distort: What is done to each uint8 picture (height, width, 3) before it is judged, for example a codec's round
            trip; nothing if None.

    Returns:
        Pass rates 0-1. "right": captions that are true, by category and "all" together. "swapped": captions with one
        assertion changed, by what was changed and "all". "extra": pictures with one object more than the caption says.
    """
    generator = np.random.default_rng(seed)
    rates = PassRates("right", "swapped", "extra")

    def judge(name: str, group: str, picture: npt.NDArray[np.uint8], claims: Claims) -> None:
        rates.add(name, group, verify(picture, describe(claims, generator)).passed)

    for number in range(count):
        num_objects = 1 + number % len(CATEGORIES)
        scene = sample_scene(generator, num_objects=num_objects, aspect=width / height, split="any")
        picture = draw(scene, width, height)
        picture = distort(picture) if distort else picture
        judge("right", scene.claims.category, picture, scene.claims)
        kind, wrong = swap_one(scene.claims, generator)
        judge("swapped", kind, picture, wrong)
        if num_objects > 1:
            fewer = _without_last(scene.claims)
            judge("extra", fewer.category, picture, fewer)
    return rates.as_dict()


def _put(items: tuple[_Item, ...], number: int, item: _Item) -> tuple[_Item, ...]:
    return (*items[:number], item, *items[number + 1 :])


def _swap_word(claims: Claims, number: int, kind: str, generator: np.random.Generator) -> ObjectClaim:
    """The object with another word; "the ..." still means only one object."""
    item = claims.objects[number]
    others = [other for i, other in enumerate(claims.objects) if i != number]
    while True:
        changed = replace(item, **{kind: pick_other(generator, _WORDS[kind], {getattr(item, kind)})})
        alike = (other.color for other in others if other.shape == changed.shape)
        if not any(changed.color == color or None in (changed.color, color) for color in alike):
            return changed


def _without_last(claims: Claims) -> Claims:
    last = len(claims.objects) - 1
    relations = tuple(r for r in claims.relations if last not in (r.subject, r.reference))
    return replace(claims, objects=claims.objects[:last], relations=relations)
