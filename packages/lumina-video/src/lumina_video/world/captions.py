"""Say a scene in words."""

import numpy as np

from flagdit_core.language import Speaker, article
from flagdit_core.shapes.vocabulary import BACKGROUND_PATTERNS, COLOR_WORDS, SHAPE_WORDS, SIZE_WORDS
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
    color = speaker.word(COLOR_WORDS[claims.background])
    background = speaker.word(BACKGROUND_PATTERNS).format(a=article(color), color=color)
    if speaker.happens(BACKGROUND_FIRST_PROBABILITY):
        return f"{background}, {sentence}"
    return f"{sentence} {background}"


def _clause(claim: ObjectClaim, speaker: Speaker) -> str:
    """An object and what it does."""
    size = speaker.word(SIZE_WORDS[claim.size]) if claim.size else ""
    color = speaker.word(COLOR_WORDS[claim.color]) if claim.color else ""
    noun = " ".join(filter(None, (size, color, speaker.word(SHAPE_WORDS[claim.shape]))))
    return f"{article(noun)} {noun} {speaker.word(MOTION_PHRASES[claim.motion])}"
