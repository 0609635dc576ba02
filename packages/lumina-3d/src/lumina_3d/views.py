"""The two artifacts of this package: pictures all around an object, and the object."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import FlagDiTError, ShapeError
from lumina_3d.cameras import Camera

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """Pictures of one object, and where each was taken from.

    Attributes:
        images: RGB (N, H, W, 3), uint8, 0-255.
        cameras: One for each picture.

    Raises:
        ShapeError: The pictures have another form, or their number is not that of the cameras.
    """

    images: npt.NDArray[np.uint8]
    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or 0 in shape:
            raise ShapeError(f"expected uint8 views (N, H, W, 3), got {self.images.dtype} {shape}")
        if len(self.cameras) != shape[0]:
            raise ShapeError(f"expected one camera for each of {shape[0]} views, got {len(self.cameras)}")

    @property
    def width(self) -> int:
        """Of the pictures, in pixels."""
        return self.images.shape[2]

    @property
    def height(self) -> int:
        """Of the pictures, in pixels."""
        return self.images.shape[1]

    def moved(self, *, scale: float, offset: npt.NDArray[np.float64]) -> "Views":
        """The same pictures of the object after ``x -> scale * x + offset``."""
        return replace(self, cameras=tuple(camera.moved(scale=scale, offset=offset) for camera in self.cameras))


@dataclass(frozen=True, kw_only=True, eq=False)
class Object3D:
    """An object and the views that it was made from.

    Attributes:
        mesh: Watertight, outward normals, vertex colours with the views' light in them. +Y is up, the front faces +Z;
            it stands on y = 0 with its box centred on x = z = 0, and its longest side is 1 metre.
        views: With cameras in the mesh's own coordinates, so that reprojection needs no other number.
    """

    mesh: "trimesh.Trimesh"
    views: Views


class EmptyForegroundError(FlagDiTError):
    """Views in which there is nothing to make an object of.

    Args:
        message: What was expected, what came, what to do.
        views: The views themselves, which may still be worth keeping.
    """

    def __init__(self, message: str, views: Views) -> None:
        super().__init__(message)
        self.views = views
