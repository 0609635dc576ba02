"""Does a picture show what a sentence says? Not learned: look at the picture, then compare with every claim."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt
from PIL import Image

from flagdit_core.errors import ShapeError
from flagdit_core.world import Check, Verdict
from lumina_image.world.geometry import picture_extent, place_of, relation_of, size_of
from lumina_image.world.parsing import parse
from lumina_image.world.recognition import recognise
from lumina_image.world.scene import Claims
from lumina_image.world.segmentation import background_color, color_name, segment

Picture = npt.NDArray[np.uint8] | Image.Image

SHORTEST_SIDE = 32
"""Smaller pictures cannot be judged."""

_WORKING_SIDE = 128
_MOST_MATCHED = 6
_MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class SeenObject:
    """One object as it was found in a picture.

    Attributes:
        shape: One of ``SHAPES`` or "unclear".
        color: One of ``BACKGROUNDS`` or "unclear".
        radius: Half the longest side of its box, in units of the picture's shorter side.
        x: Centre, as a fraction of the width from the left.
        y: Centre, as a fraction of the height from the top.
    """

    shape: str
    color: str
    radius: float
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a picture shows, the largest object first; ``aspect`` is width / height."""

    background: str
    objects: tuple[SeenObject, ...]
    aspect: float


def look(picture: Picture) -> Observation:
    """What a picture shows.

    Args:
        picture: uint8 RGB (height, width, 3), or a Pillow image.

    Returns:
        Background and objects.

    Raises:
        ShapeError: If the picture has another form or a side under 32 pixels.
    """
    if not isinstance(picture, Image.Image):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise ShapeError(f"expected a uint8 picture (height, width, 3), got {picture.dtype} {picture.shape}")
        picture = Image.fromarray(picture)
    if min(picture.size) < SHORTEST_SIDE:
        raise ShapeError(f"expected sides of {SHORTEST_SIDE} pixels or more, got {picture.width}x{picture.height}")
    aspect = picture.width / picture.height
    small = picture.convert("RGB").reduce(max(1, min(picture.size) // _WORKING_SIDE))
    pixels = np.asarray(small, dtype=np.float32)
    background = background_color(pixels)
    seen = []
    for region in segment(pixels, background):
        likeness = recognise(region)
        seen.append(
            SeenObject(
                shape=likeness.shape,
                color=region.color,
                radius=likeness.radius / min(small.size),
                x=likeness.x / small.width,
                y=likeness.y / small.height,
            )
        )
    return Observation(background=color_name(background), objects=tuple(seen), aspect=aspect)


def verify(picture: Picture, caption: str | Claims) -> Verdict:
    """Compare a picture with what a caption asserts.

    Args:
        picture: uint8 RGB (height, width, 3), or a Pillow image.
        caption: A sentence of the world's language, or its claims.

    Returns:
        One check per claim, of kinds "background", "count", "color", "shape", "size", "place" and "relation". Objects
        are matched with claims in the way that passes most checks.

    Raises:
        ConfigError: If the caption is not of the language.
        ShapeError: If the picture cannot be judged.

    Example:
        >>> from lumina_image.world import describe, draw, sample_scene
        >>> scene = sample_scene(np.random.default_rng(0))
        >>> verify(draw(scene, 96, 64), describe(scene)).passed
        True
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    seen = look(picture)
    checks = [_check("count", str(len(claims.objects)), str(len(seen.objects)))]
    if claims.background is not None:
        checks.append(_check("background", claims.background, seen.background))
    return Verdict(checks=(*checks, *_best_match(claims, seen)))


def _best_match(claims: Claims, seen: Observation) -> list[Check]:
    """The checks of objects and relations under the assignment of objects to claims that passes most."""
    candidates: list[SeenObject | None] = list(seen.objects[:_MOST_MATCHED])
    candidates += [None] * (len(claims.objects) - len(candidates))
    matches = (_object_checks(claims, match, seen.aspect) for match in permutations(candidates, len(claims.objects)))
    return max(matches, key=lambda checks: sum(check.passed for check in checks))


def _object_checks(claims: Claims, match: tuple[SeenObject | None, ...], aspect: float) -> list[Check]:
    checks = []
    for claim, item in zip(claims.objects, match, strict=True):
        checks.append(_check("shape", claim.shape, item.shape if item else _MISSING))
        if claim.color is not None:
            checks.append(_check("color", claim.color, item.color if item else _MISSING))
        if claim.size is not None:
            checks.append(_check("size", claim.size, size_of(item.radius) if item else _MISSING))
        if claim.place is not None:
            checks.append(_check("place", claim.place, place_of(item.x, item.y) if item else _MISSING))
    width, height = picture_extent(aspect)
    for relation in claims.relations:
        subject, reference = match[relation.subject], match[relation.reference]
        found = _MISSING
        if subject and reference:
            found = relation_of((subject.x - reference.x) * width, (subject.y - reference.y) * height)
        checks.append(_check("relation", relation.relation, found))
    return checks


def _check(kind: str, expected: str, found: str) -> Check:
    return Check(kind=kind, expected=expected, found=found, passed=found == expected)
