"""An endless procedural source of captioned pictures, and a verifier that says whether a picture shows its caption.

Read in this order: vocabulary, scene, geometry, sampling, drawing, captions, parsing, splits.
"""

from lumina_image.world.captions import describe
from lumina_image.world.drawing import draw
from lumina_image.world.parsing import parse
from lumina_image.world.sampling import sample_scene
from lumina_image.world.scene import CATEGORIES, Claims, ObjectClaim, RelationClaim, Scene, SceneObject
from lumina_image.world.splits import HELD_OUT_PAIRS, is_held_out

__all__ = [
    "CATEGORIES",
    "HELD_OUT_PAIRS",
    "Claims",
    "ObjectClaim",
    "RelationClaim",
    "Scene",
    "SceneObject",
    "describe",
    "draw",
    "is_held_out",
    "parse",
    "sample_scene",
]
