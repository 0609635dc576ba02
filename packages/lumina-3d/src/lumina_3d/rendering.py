"""Pictures of meshes by ray casting on the CPU: one fixed light, a plain background, the same pixels every time.

Shape legend: N views, H and W height and width in pixels, F faces, R rays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import einops
import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ConfigError, ShapeError
from lumina_3d.cameras import Camera
from lumina_3d.views import Views

if TYPE_CHECKING:
    import trimesh

Color = tuple[int, int, int]
"""Red, green and blue, 0-255."""
BACKGROUND: Color = (255, 255, 255)
LARGEST_PICTURE = 4096


@dataclass(frozen=True, kw_only=True)
class Light:
    """A distant light that fades over the whole sphere, so that faces turned away from it differ too.

    A surface with normal n shows its colour times ``ambient + (1 - ambient) * (1 + n·direction) / 2``.

    Attributes:
        direction: Towards the light, in the world; any length but 0.
        ambient: What a surface facing away from the light keeps, 0-1.
    """

    direction: tuple[float, float, float] = (0.35, 0.75, 0.56)
    ambient: float = 0.5

    def shade(self, normals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Factors (F,) in [ambient, 1] for unit normals (F, 3)."""
        direction = np.array(self.direction) / np.linalg.norm(self.direction)
        return self.ambient + (1 - self.ambient) * (1 + normals @ direction) / 2


LIGHT = Light()


def render(
    mesh: "trimesh.Trimesh | trimesh.Scene",
    cameras: Sequence[Camera],
    *,
    width: int,
    height: int,
    light: Light | None = LIGHT,
    background: Color = BACKGROUND,
    supersampling: int = 4,
) -> Views:
    """Pictures of a mesh. Every face has one colour, the mean of its corners', and one shade.

    Args:
        mesh: A mesh with face or vertex colours (grey without), or a scene of such.
        cameras: Where from.
        width: Of the pictures, in pixels.
        height: Of the pictures, in pixels.
        light: None shows the colours as they are, for meshes into which light is baked.
        background: RGB, 0-255.
        supersampling: Rays along each axis of a pixel, averaged against jagged edges.

    Returns:
        The views, uint8 RGB.

    Raises:
        ConfigError: There are no cameras, or the mesh has no faces.
        ShapeError: A size or the supersampling is out of range.

    Example:
        >>> import trimesh
        >>> from lumina_3d.cameras import orbit
        >>> render(trimesh.creation.icosphere(radius=0.5), orbit(3), width=64, height=48).images.shape
        (3, 48, 64, 3)
    """
    if not cameras:
        raise ConfigError("expected one camera or more")
    if not 1 <= min(width, height) <= max(width, height) <= LARGEST_PICTURE or not 1 <= supersampling <= 16:
        raise ShapeError(
            f"expected sides from 1 to {LARGEST_PICTURE} pixels and supersampling from 1 to 16, "
            f"got {width}x{height} and {supersampling}"
        )
    solid = as_mesh(mesh)
    face_colors = np.array(solid.visual.face_colors[:, :3], dtype=np.float64)
    if light is not None:
        face_colors *= light.shade(np.asarray(solid.face_normals))[:, None]
    # The last row is the background's: a ray that hits nothing has face -1.
    palette = np.concatenate([face_colors, [background]]).astype(np.float32)
    images = [_picture(solid, palette, camera, width, height, supersampling) for camera in cameras]
    return Views(images=np.stack(images), cameras=tuple(cameras))


def as_mesh(mesh: "trimesh.Trimesh | trimesh.Scene") -> "trimesh.Trimesh":
    """One mesh of a mesh or a scene.

    Args:
        mesh: Either.

    Returns:
        The mesh itself, or the scene's parts, each where the scene places it.

    Raises:
        ConfigError: There are no faces.
    """
    import trimesh

    solid = mesh.to_mesh() if isinstance(mesh, trimesh.Scene) else mesh
    if not len(solid.faces):
        raise ConfigError("expected a mesh with faces, got an empty one")
    return solid


def _picture(
    solid: "trimesh.Trimesh",
    palette: npt.NDArray[np.float32],
    camera: Camera,
    width: int,
    height: int,
    supersampling: int,
) -> npt.NDArray[np.uint8]:
    """One view (H, W, 3); rays are cast only through the pixels that the mesh's projection spans."""
    picture = np.tile(palette[-1], (height, width, 1))
    corners, depths = camera.project(np.asarray(solid.vertices), width, height)
    if depths.min() > 0:
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width, height))
    else:  # the camera is beside or inside the mesh
        left, top, right, bottom = 0, 0, width, height
    if left < right and top < bottom:
        across = left + (np.arange((right - left) * supersampling) + 0.5) / supersampling
        down = top + (np.arange((bottom - top) * supersampling) + 0.5) / supersampling
        pixels = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        rays = camera.directions(pixels, width, height)
        faces = solid.ray.intersects_first(np.broadcast_to(camera.position, rays.shape), rays)
        picture[top:bottom, left:right] = einops.reduce(
            palette[faces], "(h sy w sx) c -> h w c", "mean", w=right - left, sy=supersampling, sx=supersampling
        )
    return np.rint(picture).astype(np.uint8)
