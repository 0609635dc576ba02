"""How far can the verifier be trusted? Judge films whose truth is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from flagdit_core.scenes import PassRates, pick_other
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES, SIZES
from lumina_video.world.captions import describe
from lumina_video.world.drawing import draw
from lumina_video.world.sampling import sample_scene
from lumina_video.world.scene import Claims
from lumina_video.world.verifier import verify
from lumina_video.world.vocabulary import CATEGORIES, KEEP_THEIR_SIZE, MOTIONS, TWO_OBJECTS

Distortion = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]

_WORDS = {"shape": tuple(SHAPES), "color": tuple(COLORS), "size": tuple(SIZES), "motion": MOTIONS}


def swap_one(claims: Claims, generator: np.random.Generator) -> tuple[str, Claims]:
    """Change exactly one assertion into another, so that claims that are true of a film become false.

    Args:
        claims: True claims.
        generator: Source of randomness; every assertion is equally likely to be changed.

    Returns:
        The kind of what was changed ("background", "shape", "color", "size" or "motion"), and the new claims.
    """
    options = [(kind, n) for n, item in enumerate(claims.objects) for kind in _WORDS if getattr(item, kind) is not None]
    if claims.background is not None:
        options.append(("background", 0))
    kind, number = options[int(generator.integers(len(options)))]
    if kind == "background":
        return kind, replace(claims, background=pick_other(generator, BACKGROUNDS, {claims.background}))
    item = claims.objects[number]
    words = KEEP_THEIR_SIZE if kind == "motion" and item.size is not None else _WORDS[kind]
    excluded = {getattr(other, kind) for other in claims.objects} if kind == "color" else {getattr(item, kind)}
    changed = replace(item, **{kind: pick_other(generator, sorted(words), excluded)})
    objects = (*claims.objects[:number], changed, *claims.objects[number + 1 :])
    return kind, replace(claims, objects=objects)


def calibrate(
    count: int,
    *,
    num_frames: int = 8,
    width: int = 64,
    height: int = 64,
    seed: int = 0,
    distort: Distortion | None = None,
) -> dict[str, dict[str, float]]:
    """How often the verifier says yes, over ``count`` scenes of all categories in turn.

    Args:
        count: Number of scenes.
        num_frames: Of each film.
        width: In pixels.
        height: In pixels.
        seed: Seed of the scenes.
        distort: What is done to each film, uint8 (T, H, W, 3), before it is judged, for example a codec's round trip.

    Returns:
        Pass rates 0-1. "right": captions that are true, by category and "all" together. "swapped": captions with one
        assertion changed, by what was changed and "all".
    """
    generator, categories = np.random.default_rng(seed), (*CATEGORIES, TWO_OBJECTS)
    rates = PassRates("right", "swapped")
    for number in range(count):
        scene = sample_scene(generator, category=categories[number % len(categories)], split="any")
        film = draw(scene, num_frames, width, height)
        film = distort(film) if distort else film
        kind, wrong = swap_one(scene.claims, generator)
        for name, group, claims in (("right", scene.claims.category, scene.claims), ("swapped", kind, wrong)):
            rates.add(name, group, verify(film, describe(claims, generator)).passed)
    return rates.as_dict()
