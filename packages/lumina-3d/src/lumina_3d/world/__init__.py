"""An endless procedural source of captioned objects, and verifiers that say whether views or a mesh show a caption.

Read in this order: vocabulary, scene, primitives, geometry, splits, sampling, captions, parsing, building,
segmentation, templates, fitting, verifier, mesh_verifier, calibration, object_world.
"""

from lumina_3d.world.building import build, scene_of, show
from lumina_3d.world.calibration import calibrate, swap_one
from lumina_3d.world.captions import describe
from lumina_3d.world.geometry import Arrangement
from lumina_3d.world.mesh_verifier import verify_mesh, volume_iou
from lumina_3d.world.object_world import ObjectWorld
from lumina_3d.world.parsing import parse
from lumina_3d.world.sampling import sample_scene
from lumina_3d.world.scene import CATEGORIES, Claims, ObjectClaim, Scene, SceneObject
from lumina_3d.world.splits import HELD_OUT_MEETINGS, HELD_OUT_PAIRS, is_held_out
from lumina_3d.world.verifier import verify

__all__ = [
    "CATEGORIES",
    "HELD_OUT_MEETINGS",
    "HELD_OUT_PAIRS",
    "Arrangement",
    "Claims",
    "ObjectClaim",
    "ObjectWorld",
    "Scene",
    "SceneObject",
    "build",
    "calibrate",
    "describe",
    "is_held_out",
    "parse",
    "sample_scene",
    "scene_of",
    "show",
    "swap_one",
    "verify",
    "verify_mesh",
    "volume_iou",
]
