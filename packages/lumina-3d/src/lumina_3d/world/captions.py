"""Say a scene in words."""

from collections.abc import Sequence

import numpy as np

from lumina_3d.world.scene import Claims, ObjectClaim, Scene
from lumina_3d.world.vocabulary import COLOR_WORDS, OPENINGS, RELATION_PHRASES, SHAPE_WORDS, SIZE_WORDS

CANONICAL_PROBABILITY = 0.6
"""How often a random wording uses the canonical phrase where there are others."""
PLAIN_OPENING_PROBABILITY = 0.85


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

    def word(words: Sequence[str], canonical: float = CANONICAL_PROBABILITY) -> str:
        if generator is None or len(words) == 1 or generator.random() < canonical:
            return words[0]
        return words[1 + int(generator.integers(len(words) - 1))]

    def noun(claim: ObjectClaim) -> str:
        size = word(SIZE_WORDS[claim.size]) if claim.size else ""
        words = " ".join(filter(None, (size, word(COLOR_WORDS[claim.color]), word(SHAPE_WORDS[claim.shape]))))
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    parts = [word(OPENINGS, PLAIN_OPENING_PROBABILITY), noun(claims.objects[0])]
    if claims.relation is not None:
        parts += [word(RELATION_PHRASES[claims.relation]), noun(claims.objects[1])]
    return " ".join(filter(None, parts))
