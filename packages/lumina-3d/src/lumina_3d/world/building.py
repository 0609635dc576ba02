"""From a scene to its mesh and its views."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS
from lumina_3d.cameras import Camera
from lumina_3d.rendering import render
from lumina_3d.views import Views
from lumina_3d.world.geometry import Arrangement, Solid
from lumina_3d.world.parsing import parse
from lumina_3d.world.primitives import primitive
from lumina_3d.world.scene import Claims, Scene, SceneObject
from lumina_3d.world.vocabulary import SIZES

if TYPE_CHECKING:
    import trimesh

BACKGROUND = "white"

_CHANNELS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
"""Colours that keep apart the first object, the second one and the background."""


def scene_of(caption: str | Claims) -> Scene:
    """The scene that a sentence describes.

    Args:
        caption: A sentence of the world's language, or its claims; what has no size is medium.

    Returns:
        The scene.

    Raises:
        ConfigError: If the caption is not of the language.
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    objects = (SceneObject(shape=item.shape, color=item.color, size=item.size or "medium") for item in claims.objects)
    return Scene(objects=tuple(objects), claims=claims)


def arrangement_of(scene: Scene) -> Arrangement:
    """The geometry of a scene.

    Args:
        scene: The scene.

    Returns:
        Shapes, radii and relation, not turned.
    """
    return Arrangement(
        shapes=tuple(item.shape for item in scene.objects),
        radii=tuple(SIZES[item.size] for item in scene.objects),
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
    return _colored(arrangement_of(scene), [COLORS[item.color] for item in scene.objects])


def show(scene: Scene, cameras: Sequence[Camera], size: int) -> Views:
    """Pictures of a scene, lit, on white.

    Args:
        scene: What to show.
        cameras: Where from.
        size: Side of the square pictures, in pixels.

    Returns:
        The views.

    Example:
        >>> from lumina_3d.cameras import orbit
        >>> from lumina_3d.world import sample_scene
        >>> show(sample_scene(np.random.default_rng(0)), orbit(4), 64).images.shape
        (4, 64, 64, 3)
    """
    return paint(shade(arrangement_of(scene), cameras, size), scene)


def shade(arrangement: Arrangement, cameras: Sequence[Camera], size: int) -> Views:
    """What an arrangement looks like before it has colours: a thousand scenes share a few hundred of these.

    Args:
        arrangement: One or two objects.
        cameras: Where from.
        size: Side of the square pictures, in pixels.

    Returns:
        Views whose three channels are the light from the first object, from the second, and the background's share.
    """
    return render(
        _colored(arrangement, _CHANNELS[: len(arrangement.shapes)]),
        cameras,
        width=size,
        height=size,
        background=_CHANNELS[-1],
    )


def paint(shaded: Views, scene: Scene) -> Views:
    """The views of a scene from those of its arrangement.

    Args:
        shaded: As :func:`shade` gives them.
        scene: Gives the colours.

    Returns:
        The views, RGB.
    """
    colors = np.zeros((len(_CHANNELS), 3), dtype=np.float32)
    colors[: len(scene.objects)] = [COLORS[item.color] for item in scene.objects]
    colors[-1] = BACKGROUNDS[BACKGROUND]
    images: npt.NDArray[np.uint8] = np.rint(shaded.images @ (colors / 255)).astype(np.uint8)
    return Views(images=images, cameras=shaded.cameras)


def _colored(arrangement: Arrangement, colors: Sequence[tuple[int, int, int]]) -> "trimesh.Trimesh":
    """The solids of an arrangement as one mesh, each in its colour."""
    import trimesh

    meshes = [solid_mesh(solid) for solid in arrangement.solids]
    for mesh, color in zip(meshes, colors, strict=True):
        mesh.visual.face_colors = (*color, 255)
    return trimesh.util.concatenate(meshes)
