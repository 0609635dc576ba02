"""How far can the verifiers be trusted? Judge views and meshes whose truth is known."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from flagdit_core.scenes import PassRates, pick_other
from flagdit_core.shapes.vocabulary import COLORS
from flagdit_core.world import Verdict
from lumina_3d.cameras import Camera
from lumina_3d.views import Views
from lumina_3d.world.building import show
from lumina_3d.world.captions import describe
from lumina_3d.world.sampling import sample_scene
from lumina_3d.world.scene import CATEGORIES, Claims, ObjectClaim
from lumina_3d.world.verifier import verify
from lumina_3d.world.vocabulary import RELATIONS, SHAPES, SIZES, SUPPORTS

Distortion = Callable[[Views], Views]


def swap_one(claims: Claims, generator: np.random.Generator) -> tuple[str, Claims]:
    """Change exactly one assertion into another, so that claims that are true of a scene become false.

    Args:
        claims: True claims.
        generator: Source of randomness; every assertion is equally likely to be changed.

    Returns:
        The kind of what was changed ("shape", "color", "size", "relation", or "order" where the two objects of "on"
        change places), and the new claims.
    """
    options: list[tuple[str, int]] = []
    for number, item in enumerate(claims.objects):
        options += [("shape", number), ("color", number)]
        options += [("size", number)] if item.size is not None else []
    if claims.relation == "beside" and claims.objects[1].shape in SUPPORTS:
        options.append(("relation", 0))
    if claims.relation == "on":
        options.append(("relation", 0))
        options += [("order", 0)] if claims.objects[0].shape in SUPPORTS else []
    kind, number = options[int(generator.integers(len(options)))]
    if kind == "relation":
        return kind, replace(claims, relation=pick_other(generator, RELATIONS, {claims.relation}))
    if kind == "order":
        return kind, replace(claims, objects=claims.objects[::-1])
    objects = list(claims.objects)
    objects[number] = _swap_word(claims, number, kind, generator)
    return kind, replace(claims, objects=tuple(objects))


def calibrate(
    count: int,
    cameras: Sequence[Camera],
    *,
    size: int = 64,
    seed: int = 0,
    distort: Distortion | None = None,
    judge: Callable[[Views, str], Verdict] = verify,
) -> dict[str, dict[str, float]]:
    """How often a verifier says yes, over ``count`` scenes of each category in turn.

    Args:
        count: Number of scenes.
        cameras: Of the views.
        size: Side of the views in pixels.
        seed: Seed of the scenes.
        distort: What is done to the views before they are judged, for example a codec's round trip; nothing if None.
        judge: The verdict on views and a caption.

    Returns:
        Pass rates 0-1. "right": captions that are true, by category and "all" together. "swapped": captions with one
        assertion changed, by what was changed and "all".
    """
    generator = np.random.default_rng(seed)
    rates = PassRates("right", "swapped")
    for number in range(count):
        scene = sample_scene(generator, category=CATEGORIES[number % len(CATEGORIES)], split="any")
        views = show(scene, cameras, size)
        views = distort(views) if distort else views
        kind, wrong = swap_one(scene.claims, generator)
        for name, group, claims in (("right", scene.claims.category, scene.claims), ("swapped", kind, wrong)):
            rates.add(name, group, judge(views, describe(claims, generator)).passed)
    return rates.as_dict()


def _swap_word(claims: Claims, number: int, kind: str, generator: np.random.Generator) -> ObjectClaim:
    """The object with another word, such that the claims can still be."""
    item = claims.objects[number]
    match kind:
        case "color":
            used: set[str | None] = {claim.color for claim in claims.objects}
            return replace(item, color=pick_other(generator, COLORS, used))
        case "size":
            return replace(item, size=pick_other(generator, SIZES, {item.size}))
        case "shape":
            known = SUPPORTS if claims.relation == "on" and number == 1 else SHAPES
            return replace(item, shape=pick_other(generator, known, {item.shape}))
    raise AssertionError(f"{kind} is no word of an object")
