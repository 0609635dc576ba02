"""Say a scene in words."""

import numpy as np

from flagdit_core.language import Speaker, article
from lumina_audio.world.scene import Claims, EventClaim, Scene
from lumina_audio.world.vocabulary import (
    COUNT_WORDS,
    JOINERS,
    LENGTH_WORDS,
    LOUDNESS_WORDS,
    NOUNS,
    OPENINGS,
    PACE_WORDS,
    PITCH_WORDS,
)

CANONICAL_PROBABILITY = 0.65
"""How often a random wording uses the canonical phrase where there are others."""
ADJECTIVES_SWAPPED = 0.25
"""How often the first two adjectives change places."""


def describe(scene: Scene | Claims, generator: np.random.Generator | None = None) -> str:
    """A sentence that asserts exactly the claims of a scene.

    Args:
        scene: The scene, or its claims.
        generator: Source of random synonyms and word order; None gives the canonical sentence.

    Returns:
        For example "three short high beeps, then a low bell". ``parse`` gives the same claims back, whatever the
        wording.
    """
    claims = scene.claims if isinstance(scene, Scene) else scene
    speaker = Speaker(generator, canonical_probability=CANONICAL_PROBABILITY)
    opening = "" if claims.events[0].kind == "speech" else speaker.word(OPENINGS)
    sentence = opening + _event(claims.events[0], speaker)
    for event in claims.events[1:]:
        sentence += speaker.word(JOINERS) + _event(event, speaker)
    return sentence


def _event(claim: EventClaim, speaker: Speaker) -> str:
    """For example "two soft high bells"."""
    said = (
        (claim.loudness, LOUDNESS_WORDS),
        (claim.length, LENGTH_WORDS),
        (claim.pitch, PITCH_WORDS),
        (claim.pace, PACE_WORDS),
    )
    adjectives = [speaker.word(words[fact]) for fact, words in said if fact is not None]
    if speaker.happens(ADJECTIVES_SWAPPED):
        adjectives[:2] = adjectives[1::-1]
    noun = speaker.word(NOUNS[claim.kind])[int(claim.count > 1)]
    phrase = " ".join((*adjectives, noun))
    count = article(phrase) if claim.count == 1 else COUNT_WORDS[claim.count - 1]
    words = f' "{" ".join(claim.words)}"' if claim.words else ""
    return f"{count} {phrase}{words}"
