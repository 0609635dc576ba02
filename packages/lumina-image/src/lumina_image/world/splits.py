"""Which sentences are kept out of training, decided from what they assert and nothing else."""

from flagdit_core.scenes import is_among
from flagdit_core.shapes.vocabulary import HELD_OUT_PAIRS
from lumina_image.world.scene import Claims

HELD_OUT_FRACTION = 0.05
"""The share of whole combinations of facts that no training caption asserts, beside the pairs."""


def is_held_out(claims: Claims) -> bool:
    """Whether a sentence with these claims never occurs in training, in whatever words and order it is said."""
    if any((claim.color, claim.shape) in HELD_OUT_PAIRS for claim in claims.objects):
        return True
    return is_among(sorted(claims.facts), HELD_OUT_FRACTION)
