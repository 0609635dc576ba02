"""An endless procedural source of captioned pictures, and a verifier that says whether a picture shows its caption.

Its shapes are those of ``flagdit_core.shapes``. Read in this order: vocabulary, scene, geometry, sampling, drawing,
captions, parsing, splits, verifier, calibration, picture_world.
"""

from lumina_image.world.calibration import calibrate, swap_one
from lumina_image.world.captions import describe
from lumina_image.world.drawing import draw
from lumina_image.world.parsing import parse
from lumina_image.world.picture_world import PictureWorld
from lumina_image.world.sampling import sample_scene
from lumina_image.world.scene import CATEGORIES, Claims, ObjectClaim, RelationClaim, Scene
from lumina_image.world.splits import is_held_out
from lumina_image.world.verifier import verify

__all__ = [
    "CATEGORIES",
    "Claims",
    "ObjectClaim",
    "PictureWorld",
    "RelationClaim",
    "Scene",
    "calibrate",
    "describe",
    "draw",
    "is_held_out",
    "parse",
    "sample_scene",
    "swap_one",
    "verify",
]
