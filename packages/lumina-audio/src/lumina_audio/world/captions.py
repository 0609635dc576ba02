"""Say a scene in words."""

from collections.abc import Sequence

import numpy as np

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
    speaker = _Speaker(generator)
    opening = "" if claims.events[0].kind == "speech" else speaker.word(OPENINGS)
    sentence = opening + _event(claims.events[0], speaker)
    for event in claims.events[1:]:
        sentence += speaker.word(JOINERS) + _event(event, speaker)
    return sentence


class _Speaker:
    """Chooses words: the canonical ones without a generator."""

    def __init__(self, generator: np.random.Generator | None) -> None:
        self._generator = generator

    def happens(self, probability: float) -> bool:
        return self._generator is not None and bool(self._generator.random() < probability)

    def word(self, words: Sequence[str]) -> str:
        return words[self.index(len(words))]

    def index(self, count: int) -> int:
        if self._generator is None or count == 1 or self._generator.random() < CANONICAL_PROBABILITY:
            return 0
        return 1 + int(self._generator.integers(count - 1))


def _event(claim: EventClaim, speaker: _Speaker) -> str:
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
    nouns = NOUNS[claim.kind]
    noun = nouns[speaker.index(len(nouns))][int(claim.count > 1)]
    phrase = " ".join((*adjectives, noun))
    words = f' "{" ".join(claim.words)}"' if claim.words else ""
    return f"{_counted(claim.count, phrase)}{words}"


def _counted(count: int, phrase: str) -> str:
    """With an article or a number word before it."""
    article = "an" if phrase[0] in "aeiou" else "a"
    return f"{article if count == 1 else COUNT_WORDS[count - 1]} {phrase}"
