"""Does a picture show what a sentence says? Not learned: look at the picture, then compare with every claim."""

from itertools import permutations

from flagdit_core.shapes import Observation, Picture, SeenObject, look
from flagdit_core.shapes.vocabulary import size_of
from flagdit_core.world import MISSING, Check, Verdict
from lumina_image.world.geometry import picture_extent, place_of, relation_of
from lumina_image.world.parsing import parse
from lumina_image.world.scene import Claims

_MOST_MATCHED = 6


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
        >>> import numpy as np
        >>> from lumina_image.world import describe, draw, sample_scene
        >>> scene = sample_scene(np.random.default_rng(0))
        >>> verify(draw(scene, 96, 64), describe(scene)).passed
        True
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    seen = look(picture)
    checks = [Check.of("count", str(len(claims.objects)), str(len(seen.objects)))]
    if claims.background is not None:
        checks.append(Check.of("background", claims.background, seen.background))
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
        checks.append(Check.of("shape", claim.shape, item.shape if item else MISSING))
        if claim.color is not None:
            checks.append(Check.of("color", claim.color, item.color if item else MISSING))
        if claim.size is not None:
            checks.append(Check.of("size", claim.size, size_of(item.radius) if item else MISSING))
        if claim.place is not None:
            checks.append(Check.of("place", claim.place, place_of(item.x, item.y) if item else MISSING))
    width, height = picture_extent(aspect)
    for relation in claims.relations:
        subject, reference = match[relation.subject], match[relation.reference]
        found = MISSING
        if subject and reference:
            found = relation_of((subject.x - reference.x) * width, (subject.y - reference.y) * height)
        checks.append(Check.of("relation", relation.relation, found))
    return checks
