"""Draw random scenes: how many objects, what they look like, where they lie, and how much of it the caption tells."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ConfigError
from flagdit_core.scenes import Split, draw_scene, pick, pick_weighted
from flagdit_core.shapes import Shape
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, HELD_OUT_PAIRS, SHAPES, SIZES
from lumina_image.world.geometry import picture_extent, relation_of
from lumina_image.world.scene import Claims, ObjectClaim, RelationClaim, Scene
from lumina_image.world.splits import is_held_out
from lumina_image.world.vocabulary import PLACES

RADIUS_JITTER = 0.06
"""Radii vary by this fraction either way within their class."""
EDGE_MARGIN = 0.015
"""The least distance from an object's box to the picture's edge, in units of the shorter side."""
OBJECT_GAP = 0.045
"""The least distance between two objects' boxes, in units of the shorter side."""
RELATION_CONE = 0.7
"""A relation is asserted only where the smaller part of the offset is at most this fraction of the larger."""
VISIBLE_DISTANCE = 100.0
"""The least Euclidean RGB distance between an object's colour and the background."""
OUTER_BAND, MIDDLE_BAND = (0.17, 0.35), (0.46, 0.54)
"""Where the centres of an asserted place lie, as fractions of the width or height from the nearer edge."""
TOLD = {"background": 0.9, "color": 0.96, "size": 0.75, "place": 0.9, "relation": 0.92}
"""How often the caption tells each of the facts. A third object's relation is always told."""

_LAYOUTS_TRIED = 64
_VISIBLE = {
    ground: [color for color, rgb in COLORS.items() if math.dist(rgb, ground_rgb) >= VISIBLE_DISTANCE]
    for ground, ground_rgb in BACKGROUNDS.items()
}
_GROUNDS = tuple(BACKGROUNDS)
_SIZE_NAMES = tuple(SIZES)
_PLACE_NAMES = tuple(PLACES)


def sample_scene(
    generator: np.random.Generator,
    *,
    num_objects: int | None = None,
    weights: Sequence[float] = (0.3, 0.4, 0.3),
    aspect: float = 1.0,
    split: Split = "train",
) -> Scene:
    """A random scene: nothing overlaps, everything is inside the picture and visible, and what is claimed is true.

    Args:
        generator: Source of randomness; the scene is a pure function of its state.
        num_objects: 1, 2 or 3; None draws it by ``weights``.
        weights: Relative frequencies of one, two and three objects (a curriculum changes them).
        aspect: Width / height of the picture to be drawn.
        split: "train" leaves out what "held_out" consists of; "any" draws from both.

    Returns:
        The scene. Places are claimed of single objects, one relation of two, two relations of three.

    Raises:
        ConfigError: If an argument is out of range.
    """
    if num_objects not in (None, 1, 2, 3):
        raise ConfigError(f"expected num_objects 1, 2, 3 or None, got {num_objects!r}")
    if not 0.25 <= aspect <= 4:
        raise ConfigError(f"expected an aspect (width / height) from 0.25 to 4, got {aspect!r}")
    number = pick_weighted(generator, (1, 2, 3), weights) if num_objects is None else num_objects
    return draw_scene(lambda: _propose(generator, number, aspect), split, _split_of)


def _split_of(scene: Scene) -> Split | None:
    """None where an object is to be seen, but not told, that training never shows."""
    if is_held_out(scene.claims):
        return "held_out"
    return None if any((item.color, item.shape) in HELD_OUT_PAIRS for item in scene.objects) else "train"


def _propose(generator: np.random.Generator, num_objects: int, aspect: float) -> Scene | None:
    """One attempt; None where looks clash, objects find no room or their relation is unclear."""
    background = pick(generator, _GROUNDS)
    looks = [(pick(generator, _VISIBLE[background]), pick(generator, SHAPES)) for _ in range(num_objects)]
    if len(set(looks)) < num_objects:
        return None
    sizes = [pick(generator, _SIZE_NAMES) for _ in range(num_objects)]
    radii = np.array([SIZES[size] for size in sizes]) * generator.uniform(
        1 - RADIUS_JITTER, 1 + RADIUS_JITTER, num_objects
    )
    extent = np.array(picture_extent(aspect))
    place: str | None = None
    relations: tuple[RelationClaim, ...] = ()
    told = generator.random
    if num_objects == 1:
        place = pick(generator, _PLACE_NAMES)
        centres = _single_centre(generator, place, radii[0] / extent)[None]
    else:
        layout = _layout(generator, radii, extent)
        if layout is None:
            return None
        centres, relations = layout[0] / extent, layout[1]
        if num_objects == 2 and told() >= TOLD["relation"]:
            relations = ()
    shapes = [shape for _, shape in looks]
    claims = Claims(
        objects=tuple(
            ObjectClaim(
                shape=shape,
                color=color if told() < TOLD["color"] or shapes.count(shape) > 1 else None,
                size=size if told() < TOLD["size"] else None,
                place=place if told() < TOLD["place"] else None,
            )
            for (color, shape), size in zip(looks, sizes, strict=True)
        ),
        relations=relations,
        background=background if told() < TOLD["background"] else None,
    )
    objects = tuple(
        Shape(shape=shape, color=color, radius=float(radius), x=float(x), y=float(y))
        for (color, shape), radius, (x, y) in zip(looks, radii, centres, strict=True)
    )
    return Scene(background=background, objects=objects, claims=claims)


def _single_centre(
    generator: np.random.Generator, place: str, radius: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """A centre (2,) in the given place, in fractions of the picture, for a radius (2,) in the same fractions."""
    centre = np.empty(2)
    for axis, band in enumerate(PLACES[place]):
        low, high = OUTER_BAND if band else MIDDLE_BAND
        value = generator.uniform(max(low, radius[axis] + EDGE_MARGIN), high)
        centre[axis] = 1 - value if band > 0 else value
    return centre


def _layout(
    generator: np.random.Generator, radii: npt.NDArray[np.float64], extent: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], tuple[RelationClaim, ...]] | None:
    """Centres (N, 2) in units of the shorter side that leave a gap, and the relations to be told of them."""
    num_objects = len(radii)
    reference = int(generator.integers(2))
    pairs = [(0, 1)] if num_objects == 2 else [(0, 1), (2, reference)]
    inset = radii[:, None] + EDGE_MARGIN
    tries = inset + generator.random((_LAYOUTS_TRIED, num_objects, 2)) * (extent - 2 * inset)
    first, second = np.triu_indices(num_objects, k=1)
    apart = (np.abs(tries[:, first] - tries[:, second]) - (radii[first] + radii[second])[:, None]).max(axis=-1)
    subjects, references = np.array(pairs).T
    offsets = tries[:, subjects] - tries[:, references]
    clear = np.abs(offsets).min(axis=-1) <= RELATION_CONE * np.abs(offsets).max(axis=-1)
    good = np.flatnonzero((apart >= OBJECT_GAP).all(axis=1) & clear.all(axis=1))
    if not good.size:
        return None
    relations = tuple(
        RelationClaim(subject=subject, relation=relation_of(dx, dy), reference=ref)
        for (subject, ref), (dx, dy) in zip(pairs, offsets[good[0]].tolist(), strict=True)
    )
    return tries[good[0]], relations
