"""Which sentences are kept out of training, decided from what they assert and nothing else."""

from flagdit_core.scenes import is_among
from lumina_3d.world.scene import Claims

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("green", "cube"),
        ("purple", "sphere"),
        ("orange", "cone"),
        ("pink", "cylinder"),
        ("cyan", "torus"),
        ("yellow", "pyramid"),
    }
)
"""Colour and shape pairs that no training object has."""

HELD_OUT_MEETINGS: frozenset[tuple[str, str, str]] = frozenset(
    {
        ("sphere", "on", "cylinder"),
        ("torus", "on", "cube"),
        ("cone", "beside", "pyramid"),
        ("torus", "beside", "sphere"),
    }
)
"""First shape, relation, second shape: meetings that no training scene shows, in whatever colours and sizes."""

HELD_OUT_FRACTION = 0.05
"""The share of whole combinations of facts that no training caption asserts, beside these."""


def is_held_out(claims: Claims) -> bool:
    """Whether a sentence with these claims never occurs in training, in whatever words it is said."""
    if any((claim.color, claim.shape) in HELD_OUT_PAIRS for claim in claims.objects):
        return True
    shapes = [claim.shape for claim in claims.objects]
    if claims.relation is not None and (shapes[0], claims.relation, shapes[1]) in HELD_OUT_MEETINGS:
        return True
    return is_among(claims.facts, HELD_OUT_FRACTION)
