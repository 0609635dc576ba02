"""Say a scene in words."""

from collections.abc import Sequence

import numpy as np

from flagdit_core.shapes.vocabulary import COLOR_WORDS, SHAPE_WORDS, SIZE_WORDS
from lumina_image.world.scene import Claims, ObjectClaim, Scene
from lumina_image.world.vocabulary import BACKGROUND_PATTERNS, OPENINGS, PLACE_PHRASES, RELATION_PHRASES

CANONICAL_PROBABILITY = 0.6
"""How often a random wording uses the canonical phrase where there are others."""
PLAIN_OPENING_PROBABILITY = 0.85
BACKGROUND_FIRST_PROBABILITY = 0.12


def describe(scene: Scene | Claims, generator: np.random.Generator | None = None) -> str:
    """A sentence that asserts exactly the claims of a scene.

    Args:
        scene: The scene, or its claims.
        generator: Source of random synonyms and word order; None gives the canonical sentence.

    Returns:
        For example "a small red circle left of a large blue square on a yellow background".
        ``parse`` gives the same claims back, whatever the wording.
    """
    claims = scene.claims if isinstance(scene, Scene) else scene
    speaker = _Speaker(generator)
    sentence = _clauses(claims, speaker)
    if claims.background is None:
        background = ""
    else:
        color = speaker.word(COLOR_WORDS[claims.background])
        background = speaker.word(BACKGROUND_PATTERNS).format(a=_article(color), color=color)
    if not background:
        return f"{speaker.opening()}{sentence}"
    if speaker.happens(BACKGROUND_FIRST_PROBABILITY):
        return f"{background}, {sentence}"
    return f"{speaker.opening()}{sentence} {background}"


class _Speaker:
    """Chooses words: the canonical ones without a generator."""

    def __init__(self, generator: np.random.Generator | None) -> None:
        self._generator = generator

    def happens(self, probability: float) -> bool:
        return self._generator is not None and bool(self._generator.random() < probability)

    def word(self, words: Sequence[str]) -> str:
        if self._generator is None or len(words) == 1 or self._generator.random() < CANONICAL_PROBABILITY:
            return words[0]
        return words[1 + int(self._generator.integers(len(words) - 1))]

    def opening(self) -> str:
        if self._generator is None or self._generator.random() < PLAIN_OPENING_PROBABILITY:
            return ""
        return OPENINGS[1 + int(self._generator.integers(len(OPENINGS) - 1))] + " "


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _new_object(claim: ObjectClaim, speaker: _Speaker) -> str:
    size = speaker.word(SIZE_WORDS[claim.size]) if claim.size else ""
    color = speaker.word(COLOR_WORDS[claim.color]) if claim.color else ""
    noun = " ".join(filter(None, (size, color, speaker.word(SHAPE_WORDS[claim.shape]))))
    place = f" {speaker.word(PLACE_PHRASES[claim.place])}" if claim.place else ""
    return f"{_article(noun)} {noun}{place}"


def _known_object(claim: ObjectClaim, speaker: _Speaker) -> str:
    color = f"{speaker.word(COLOR_WORDS[claim.color])} " if claim.color else ""
    return f"the {color}{speaker.word(SHAPE_WORDS[claim.shape])}"


def _clauses(claims: Claims, speaker: _Speaker) -> str:
    """Objects in their order, each with its relation: "a ... left of b ... and c ... below the b"."""
    clauses: list[str] = []
    mentioned: set[int] = set()

    def mention(number: int) -> str:
        claim = claims.objects[number]
        if number in mentioned:
            return _known_object(claim, speaker)
        mentioned.add(number)
        return _new_object(claim, speaker)

    for relation in claims.relations:
        subject = mention(relation.subject)
        clauses.append(f"{subject} {speaker.word(RELATION_PHRASES[relation.relation])} {mention(relation.reference)}")
    clauses.extend(mention(number) for number in range(len(claims.objects)) if number not in mentioned)
    return speaker.word((" and ", ", and ", ", ")).join(clauses)
