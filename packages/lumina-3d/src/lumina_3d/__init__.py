"""3-D objects from a sentence, with Flag-DiT: views with known cameras, and coloured, watertight meshes.

Public names load on first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from flagdit_core.lazy import lazy_names

if TYPE_CHECKING:
    from lumina_3d.artifacts import save_object
    from lumina_3d.cameras import Camera, orbit
    from lumina_3d.pipeline import ObjectOutput, ObjectPipeline
    from lumina_3d.points import save_points
    from lumina_3d.reconstruction import reconstruct
    from lumina_3d.rendering import render
    from lumina_3d.reprojection import Consistency, consistency
    from lumina_3d.transforms import load_views, save_views
    from lumina_3d.turntable import save_turntable
    from lumina_3d.views import EmptyForegroundError, Object3D, Views

__version__ = "0.1.0"
__all__ = [
    "Camera",
    "Consistency",
    "EmptyForegroundError",
    "Object3D",
    "ObjectOutput",
    "ObjectPipeline",
    "Views",
    "consistency",
    "load_views",
    "orbit",
    "reconstruct",
    "render",
    "save_object",
    "save_points",
    "save_turntable",
    "save_views",
]

_HOMES = {
    "Camera": "cameras",
    "Consistency": "reprojection",
    "EmptyForegroundError": "views",
    "Object3D": "views",
    "ObjectOutput": "pipeline",
    "ObjectPipeline": "pipeline",
    "Views": "views",
    "consistency": "reprojection",
    "load_views": "transforms",
    "orbit": "cameras",
    "reconstruct": "reconstruction",
    "render": "rendering",
    "save_object": "artifacts",
    "save_points": "points",
    "save_turntable": "turntable",
    "save_views": "transforms",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
