"""Say a scene in words."""

import numpy as np

from flagdit_core.language import Speaker
from flagdit_core.shapes.phrases import say_background, say_object
from flagdit_core.shapes.vocabulary import SHAPE_WORDS
from lumina_video.world.scene import Claims, ObjectClaim, Scene
from lumina_video.world.vocabulary import MOTION_PHRASES

BACKGROUND_FIRST_PROBABILITY = 0.12


def describe(scene: Scene | Claims, generator: np.random.Generator | None = None) -> str:
    """A sentence that asserts exactly the claims of a scene.

    Args:
        scene: The scene, or its claims.
        generator: Source of random synonyms and word order; None gives the canonical sentence.

    Returns:
        For example "a red circle moves from left to right on a white background". ``parse`` gives the same claims
        back, whatever the wording.
    """
    claims = scene.claims if isinstance(scene, Scene) else scene
    speaker = Speaker(generator)
    sentence = speaker.word((" and ", ", ")).join(_clause(claim, speaker) for claim in claims.objects)
    if claims.background is None:
        return sentence
    background = say_background(speaker, claims.background)
    if speaker.happens(BACKGROUND_FIRST_PROBABILITY):
        return f"{background}, {sentence}"
    return f"{sentence} {background}"


def _clause(claim: ObjectClaim, speaker: Speaker) -> str:
    """An object and what it does."""
    item = say_object(speaker, SHAPE_WORDS[claim.shape], color=claim.color, size=claim.size)
    return f"{item} {speaker.word(MOTION_PHRASES[claim.motion])}"
