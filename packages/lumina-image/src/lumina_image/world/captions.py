"""Say a scene in words."""

import numpy as np

from flagdit_core.language import Speaker
from flagdit_core.shapes.phrases import say_background, say_object
from flagdit_core.shapes.vocabulary import COLOR_WORDS, SHAPE_WORDS
from lumina_image.world.scene import Claims, ObjectClaim, Scene
from lumina_image.world.vocabulary import OPENINGS, PLACE_PHRASES, RELATION_PHRASES

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
    speaker = Speaker(generator)
    sentence = _clauses(claims, speaker)
    if claims.background is None:
        return f"{_opening(speaker)}{sentence}"
    background = say_background(speaker, claims.background)
    if speaker.happens(BACKGROUND_FIRST_PROBABILITY):
        return f"{background}, {sentence}"
    return f"{_opening(speaker)}{sentence} {background}"


def _opening(speaker: Speaker) -> str:
    """Nothing, or words such as "a picture of"."""
    if speaker.is_canonical or speaker.happens(PLAIN_OPENING_PROBABILITY):
        return ""
    return speaker.any_of(OPENINGS[1:]) + " "


def _new_object(claim: ObjectClaim, speaker: Speaker) -> str:
    item = say_object(speaker, SHAPE_WORDS[claim.shape], color=claim.color, size=claim.size)
    return f"{item} {speaker.word(PLACE_PHRASES[claim.place])}" if claim.place else item


def _known_object(claim: ObjectClaim, speaker: Speaker) -> str:
    color = f"{speaker.word(COLOR_WORDS[claim.color])} " if claim.color else ""
    return f"the {color}{speaker.word(SHAPE_WORDS[claim.shape])}"


def _clauses(claims: Claims, speaker: Speaker) -> str:
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
