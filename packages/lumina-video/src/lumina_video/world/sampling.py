"""Draw random scenes: one object or two, what they look like, how they move, and how much of it the caption tells."""

import math

import numpy as np

from flagdit_core.language import check_word
from flagdit_core.scenes import Split, draw_scene, pick
from flagdit_core.shapes.drawing import SYMMETRY
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES, SIZES
from lumina_video.world.scene import Actor, Claims, ObjectClaim, Scene
from lumina_video.world.splits import is_held_out, shows_held_out_pair
from lumina_video.world.vocabulary import CATEGORIES, KEEP_THEIR_SIZE, TWO_OBJECTS

RADIUS_JITTER = 0.06
"""Radii vary by this fraction either way within their class."""
CENTRE_JITTER = 0.05
"""Centres vary by this fraction of the picture either way, across the direction of the motion."""
FILM_SIZES = ("medium", "large")
"""Sizes of single objects; smaller ones are a few pixels in the small films that a nano model makes."""
HALF_RADIUS = 0.17
"""Of each of two objects, which have half the picture."""
LARGEST_RADIUS = (0.26, 0.30)
"""Of objects that grow or shrink, when they are largest."""
VISIBLE_DISTANCE = 100.0
"""The least RGB distance between an object's colour and the background, and between two objects' colours."""
TOLD = {"background": 0.9, "color": 0.96, "size": 0.6}
"""How often the caption tells each of the facts. Colours of two objects are always told."""
TWO_OBJECT_MOTIONS = ("moves right", "moves left", "bounces from side to side", "stays still")
"""Motions that keep to the upper or the lower half of the picture, where each of two objects has room."""

_GROUNDS = tuple(BACKGROUNDS)
_KINDS = (*CATEGORIES, TWO_OBJECTS)


def sample_scene(
    generator: np.random.Generator,
    *,
    category: str | None = None,
    split: Split = "train",
) -> Scene:
    """A random scene: everything stays inside the picture, is visible, and what is claimed is true.

    Args:
        generator: Source of randomness; the scene is a pure function of its state.
        category: A kind of motion, or "two objects"; None draws one, all alike.
        split: "train" leaves out what "held_out" consists of; "any" draws from both.

    Returns:
        The scene.

    Raises:
        ConfigError: If an argument is out of range.
    """
    if category is not None:
        check_word("category", category, _KINDS)
    kind = pick(generator, _KINDS) if category is None else category
    return draw_scene(lambda: _propose(generator, kind), split, _split_of)


def _split_of(scene: Scene) -> Split | None:
    """None where an object is to be seen, but not told, that training never shows."""
    if is_held_out(scene.claims):
        return "held_out"
    shows_pair = any(shows_held_out_pair(actor.color, actor.shape, actor.motion) for actor in scene.actors)
    return None if shows_pair else "train"


def _propose(generator: np.random.Generator, kind: str) -> Scene | None:
    """One attempt; None where colours are too alike."""
    background = pick(generator, _GROUNDS)
    two = kind == TWO_OBJECTS
    colors = [pick(generator, tuple(COLORS)) for _ in range(1 + two)]
    shown = [BACKGROUNDS[background], *(COLORS[color] for color in colors)]
    if any(math.dist(a, b) < VISIBLE_DISTANCE for i, a in enumerate(shown) for b in shown[:i]):
        return None
    actors, claims = [], []
    for number, color in enumerate(colors):
        motion = pick(generator, TWO_OBJECT_MOTIONS if two else CATEGORIES[kind])
        turns = motion.startswith("turns")
        shape = pick(generator, [shape for shape in SHAPES if SYMMETRY[shape] or not turns])
        size = pick(generator, FILM_SIZES)
        actors.append(_place(generator, shape, color, size, motion, half=number if two else None))
        tells_size = motion in KEEP_THEIR_SIZE and not two and generator.random() < TOLD["size"]
        tells_color = two or generator.random() < TOLD["color"]
        claims.append(
            ObjectClaim(
                shape=shape, motion=motion, color=color if tells_color else None, size=size if tells_size else None
            )
        )
    told = background if generator.random() < TOLD["background"] else None
    return Scene(background=background, actors=tuple(actors), claims=Claims(objects=tuple(claims), background=told))


def _place(
    generator: np.random.Generator, shape: str, color: str, size: str, motion: str, *, half: int | None
) -> Actor:
    """An object with room for its motion: in the middle, or in the upper (0) or lower (1) half."""
    if motion in KEEP_THEIR_SIZE:
        radius = (SIZES[size] if half is None else HALF_RADIUS) * generator.uniform(
            1 - RADIUS_JITTER, 1 + RADIUS_JITTER
        )
    else:
        radius = generator.uniform(*LARGEST_RADIUS)
    x, y = 0.5 + CENTRE_JITTER * generator.uniform(-1, 1, 2)
    if motion in ("moves right", "moves left", "bounces from side to side"):
        x = 0.5
    if motion in ("moves down", "moves up", "bounces up and down"):
        y = 0.5
    if half is not None:
        y += 0.25 if half else -0.25
    return Actor(shape=shape, color=color, radius=float(radius), x=float(x), y=float(y), motion=motion)
