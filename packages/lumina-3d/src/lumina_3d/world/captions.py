"""Say a scene in words."""

import numpy as np

from flagdit_core.language import Speaker
from flagdit_core.shapes.phrases import say_object
from lumina_3d.world.scene import Claims, Scene
from lumina_3d.world.vocabulary import OPENINGS, RELATION_PHRASES, SHAPE_WORDS

OPENING_PROBABILITY = 0.15
"""How often a random wording begins with what kind of thing it is about."""


def describe(scene: Scene | Claims, generator: np.random.Generator | None = None) -> str:
    """A sentence that asserts exactly the claims of a scene.

    Args:
        scene: The scene, or its claims.
        generator: Source of random synonyms; None gives the canonical sentence.

    Returns:
        For example "a small blue cone on a large red cube".
        ``parse`` gives the same claims back, whatever the wording.
    """
    claims = scene.claims if isinstance(scene, Scene) else scene
    speaker = Speaker(generator)
    opening = [speaker.any_of(OPENINGS)] if speaker.happens(OPENING_PROBABILITY) else []
    first, *others = (
        say_object(speaker, SHAPE_WORDS[claim.shape], color=claim.color, size=claim.size) for claim in claims.objects
    )
    relation = [] if claims.relation is None else [speaker.word(RELATION_PHRASES[claims.relation])]
    return " ".join([*opening, first, *relation, *others])
