"""From a scene to its mesh and its views."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flagdit_core.shapes.vocabulary import COLORS
from lumina_3d.cameras import Camera
from lumina_3d.render import render
from lumina_3d.views import Views
from lumina_3d.world.geometry import Arrangement, Solid
from lumina_3d.world.primitives import primitive
from lumina_3d.world.scene import Scene

if TYPE_CHECKING:
    import trimesh


def arrangement_of(scene: Scene) -> Arrangement:
    """The geometry of a scene.

    Args:
        scene: The scene.

    Returns:
        Shapes, sizes and relation, not turned.
    """
    return Arrangement(
        shapes=tuple(item.shape for item in scene.objects),
        sizes=tuple(item.size for item in scene.objects),
        relation=scene.claims.relation,
    )


def solid_mesh(solid: Solid) -> "trimesh.Trimesh":
    """A solid's mesh, in its place.

    Args:
        solid: The solid.

    Returns:
        A new mesh, watertight.
    """
    mesh = primitive(solid.shape).copy()
    return mesh.apply_scale(solid.radius).apply_translation(solid.centre)


def build(scene: Scene) -> "trimesh.Trimesh":
    """The true mesh of a scene.

    Args:
        scene: The scene.

    Returns:
        One watertight part for each object, with face colours; the box around all is centred on the origin.
    """
    import trimesh

    meshes = []
    for item, solid in zip(scene.objects, arrangement_of(scene).solids, strict=True):
        mesh = solid_mesh(solid)
        mesh.visual.face_colors = (*COLORS[item.color], 255)
        meshes.append(mesh)
    return trimesh.util.concatenate(meshes)


def show(scene: Scene, cameras: Sequence[Camera], size: int) -> Views:
    """Pictures of a scene, lit, on white.

    Args:
        scene: What to show.
        cameras: Where from.
        size: Side of the square pictures, in pixels.

    Returns:
        The views.

    Example:
        >>> import numpy as np
        >>> from lumina_3d.cameras import orbit
        >>> from lumina_3d.world import sample_scene
        >>> show(sample_scene(np.random.default_rng(0)), orbit(4), 64).images.shape
        (4, 64, 64, 3)
    """
    return render(build(scene), cameras, width=size, height=size)
