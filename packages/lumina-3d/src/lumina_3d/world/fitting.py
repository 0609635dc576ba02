"""Find the arrangement that agrees best with what is seen, beginning with those that a claim allows.

From the best of these on, the relation and each object are changed in turn, each to its best, until nothing gets
better. What is found is thus the world's own arrangement, whose words can be compared with the claim's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product

from lumina_3d.world.geometry import Arrangement
from lumina_3d.world.scene import Claims
from lumina_3d.world.vocabulary import RELATIONS, SHAPES, SIZES, SUPPORTS

Score = Callable[[Arrangement], float]

NOTICEABLE = 0.002
"""What an alternative must score more."""

_ROUNDS = 3
_SYMMETRY = 90.0


def fit(claims: Claims, score: Score, *, turns: Sequence[float], radii: Sequence[float]) -> Arrangement:
    """The best arrangement in the neighbourhood of what is claimed.

    Args:
        claims: Where the search begins.
        score: Agreement, the higher the better.
        turns: Rotations about the up axis that are tried, in degrees from 0 to below 360.
        radii: The sizes that an object may have; one whose size is claimed begins with that.

    Returns:
        The arrangement, its objects in the order of the claims.
    """
    score = cache(score)  # a round tries much of what the one before has tried
    first, *others = _allowed(claims, turns, radii)
    found, best = _improve(first, score(first), others, score)
    for _ in range(_ROUNDS):
        before = best
        found, best = _improve(found, best, _relations(found, turns), score)
        for number in range(len(found.shapes)):
            found, best = _improve(found, best, _shapes(found, number, turns, radii), score)
        if best == before:
            break
    return found


def _improve(
    found: Arrangement, best: float, candidates: Iterator[Arrangement] | Sequence[Arrangement], score: Score
) -> tuple[Arrangement, float]:
    """The best of an arrangement and its alternatives, and its score."""
    for candidate in candidates:
        value = score(candidate)
        if value > best + NOTICEABLE:
            found, best = candidate, value
    return found, best


def _allowed(claims: Claims, turns: Sequence[float], radii: Sequence[float]) -> Iterator[Arrangement]:
    """All arrangements of which the claims are true."""
    shapes = tuple(claim.shape for claim in claims.objects)
    sizes = product(*((SIZES[claim.size],) if claim.size else radii for claim in claims.objects))
    for chosen, turn in product(sizes, _visible(turns, claims.relation)):
        yield Arrangement(shapes=shapes, radii=chosen, relation=claims.relation, turn=turn)


def _relations(found: Arrangement, turns: Sequence[float]) -> Iterator[Arrangement]:
    """The same objects, standing otherwise."""
    for relation in RELATIONS if found.relation else ():
        if relation != "on" or found.shapes[1] in SUPPORTS:
            for turn in _visible(turns, relation):
                yield replace(found, relation=relation, turn=turn)


def _shapes(found: Arrangement, number: int, turns: Sequence[float], radii: Sequence[float]) -> Iterator[Arrangement]:
    """Other shapes for one of the objects, in all sizes, all turned a little: a cone hides how a pyramid would lie."""
    known = SUPPORTS if found.relation == "on" and number == 1 else SHAPES
    every_size = product(radii, repeat=len(found.shapes))
    for shape, sizes, turn in product(known, every_size, _visible(turns, None)):
        shapes = (*found.shapes[:number], shape, *found.shapes[number + 1 :])
        yield replace(found, shapes=shapes, radii=sizes, turn=(found.turn + turn) % 360)


def _visible(turns: Sequence[float], relation: str | None) -> list[float]:
    """The turns after which not all looks as before: every shape is the same again after a quarter turn."""
    return [turn for turn in turns if relation == "beside" or turn < _SYMMETRY]
