"""Which sentences are kept out of training, decided from what they assert and nothing else."""

from flagdit_core.scenes import is_among
from flagdit_core.shapes.vocabulary import HELD_OUT_PAIRS
from lumina_video.world.scene import Claims

HELD_OUT_MOTIONS: frozenset[tuple[str, str]] = frozenset(
    {
        ("heart", "moves right"),
        ("star", "moves up"),
        ("cross", "bounces up and down"),
        ("circle", "shrinks"),
        ("square", "fades in"),
        ("triangle", "turns counterclockwise"),
    }
)
"""Shape and motion pairs that no training film shows."""

HELD_OUT_FRACTION = 0.05
"""The share of whole combinations of facts that no training caption asserts, beside the pairs."""


def shows_held_out_pair(color: str | None, shape: str, motion: str) -> bool:
    """Whether an object is of a kind that no training film shows."""
    return (color, shape) in HELD_OUT_PAIRS or (shape, motion) in HELD_OUT_MOTIONS


def is_held_out(claims: Claims) -> bool:
    """Whether a sentence with these claims never occurs in training, in whatever words and order it is said."""
    if any(shows_held_out_pair(claim.color, claim.shape, claim.motion) for claim in claims.objects):
        return True
    return is_among(sorted(claims.facts), HELD_OUT_FRACTION)
