"""Find the arrangement that agrees best with what is seen, beginning with the one that is claimed.

Relation and turn, sizes and shapes are changed one after the other, each to its best value, until nothing gets better.
What is found is thus the world's own arrangement, whose words can be compared with the claim's.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from lumina_3d.world.geometry import Arrangement
from lumina_3d.world.scene import Claims
from lumina_3d.world.vocabulary import RELATIONS, SHAPES, SIZES, SUPPORTS

Score = Callable[[Arrangement], float]

TURNS = (0.0, 90.0, 180.0, 270.0)
"""Quarter turns, after which cubes and pyramids look as before: to which side of the other an object stands is free."""
NOTICEABLE = 0.002
"""What an alternative must score more."""

_ROUNDS = 3


def fit(claims: Claims, score: Score, *, turns: Iterable[float] = TURNS) -> Arrangement:
    """The best arrangement in the neighbourhood of what is claimed.

    Args:
        claims: Where the search begins; a size that is not claimed is "medium" at first.
        score: Agreement, the higher the better.
        turns: Rotations about the up axis that count as the same arrangement.

    Returns:
        The arrangement, its objects in the order of the claims.
    """
    found = Arrangement(
        shapes=tuple(claim.shape for claim in claims.objects),
        sizes=tuple(claim.size or "medium" for claim in claims.objects),
        relation=claims.relation,
    )
    best = score(found)
    for _ in range(_ROUNDS):
        before = best
        for alternatives in _changes(turns, len(found.shapes)):
            for candidate in alternatives(found):
                value = score(candidate)
                if value > best + NOTICEABLE:
                    found, best = candidate, value
        if best == before:
            break
    return found


def _changes(turns: Iterable[float], count: int) -> list[Callable[[Arrangement], list[Arrangement]]]:
    """The ways to change an arrangement of ``count`` objects: place, sizes, the shape of each."""

    def places(found: Arrangement) -> list[Arrangement]:
        if found.relation is None:
            return [replace(found, turn=turn) for turn in turns]
        return [
            replace(found, relation=relation, turn=turn)
            for relation in RELATIONS
            for turn in turns
            if relation != "on" or found.shapes[1] in SUPPORTS
        ]

    def sizes(found: Arrangement) -> list[Arrangement]:
        options: list[tuple[str, ...]] = [()]
        for _ in range(count):
            options = [(*chosen, size) for chosen in options for size in SIZES]
        return [replace(found, sizes=option) for option in options]

    def shapes(number: int) -> Callable[[Arrangement], list[Arrangement]]:
        def alternatives(found: Arrangement) -> list[Arrangement]:
            known = SUPPORTS if found.relation == "on" and number == 1 else SHAPES
            return [
                replace(found, shapes=(*found.shapes[:number], shape, *found.shapes[number + 1 :])) for shape in known
            ]

        return alternatives

    return [places, sizes, *map(shapes, range(count))]
