"""Which sentences are kept out of training, decided from what they assert and nothing else."""

from flagdit_core.scenes import is_among
from lumina_audio.world.scene import Claims, EventClaim

HELD_OUT_TRIPLES: frozenset[tuple[str, str, str]] = frozenset(
    {("beep", "low", "long"), ("beep", "high", "soft"), ("tone", "high", "short"), ("bell", "middle", "loud")}
)
"""Kind, pitch and length or loudness that no training sound has together."""

HELD_OUT_FRACTION = 0.08
"""The share of whole combinations of facts that no training caption asserts, beside those."""


def is_held_out(claims: Claims) -> bool:
    """Whether a sentence with these claims never occurs in training, in whatever words it is said."""
    if any(has_held_out_triple(event) for event in claims.events):
        return True
    return is_among(claims.facts, HELD_OUT_FRACTION)


def has_held_out_triple(event: EventClaim) -> bool:
    """Whether an event is of a kind, pitch and length or loudness that training never has together."""
    triples = {(event.kind, event.pitch, event.length), (event.kind, event.pitch, event.loudness)}
    return not triples.isdisjoint(HELD_OUT_TRIPLES)
