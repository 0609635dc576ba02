"""Pinhole cameras around an object.

Convention: the world is glTF's, right-handed with +Y up and the front of an object facing +Z. A camera looks along its
own -Z with +Y up in the picture. Azimuth 0 sees the front; azimuth grows towards +X, elevation towards +Y; both in
degrees.

The default field of view is narrow, 10 degrees, as through a long lens. A silhouette then bounds nearly a prism instead
of a cone, which keeps flat tops flat in a visual hull, as parallel projection would; yet views stay pinhole pictures,
which every reconstruction program reads.

Shape legend: P points, R rays, H and W height and width of a picture in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ConfigError

Floats = npt.NDArray[np.float64]
Row = tuple[float, float, float, float]

FIELD_OF_VIEW = 10.0
"""Horizontal, in degrees."""
FRAME = 1.06
"""Half the width, in world units, that a default camera sees at its target."""
DISTANCE = FRAME / math.tan(math.radians(FIELD_OF_VIEW / 2))
ELEVATIONS = (0.0, 60.0)
"""Of the views around an object, in turn. Level views bound flat tops and bottoms, raised ones see a lying ring's hole;
from one circle at 30 degrees, the visual hull of a cube wears a roof that is not there."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera with square pixels, whose axis meets the picture's centre.

    Attributes:
        pose: Camera to world, 4 rows of 4: columns are the camera's right, up and backward directions and its position.
        field_of_view: Horizontal, in degrees, between 0 and 180.

    Raises:
        ConfigError: The pose is no rigid motion, or the field of view is out of range.

    Example:
        >>> camera = Camera.around(azimuth=90, elevation=0)
        >>> camera.position.round(2).tolist() == [round(DISTANCE, 2), 0, 0]
        True
    """

    pose: tuple[Row, Row, Row, Row]
    field_of_view: float = FIELD_OF_VIEW

    def __post_init__(self) -> None:
        pose = np.asarray(self.pose, dtype=np.float64)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise ConfigError(f"expected a camera pose of 4 rows of 4 finite numbers, got {self.pose!r}")
        rotation = pose[:3, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
            raise ConfigError("expected a camera pose whose first three columns are a rotation")
        if not 0 < self.field_of_view < 180:
            raise ConfigError(f"expected a field of view between 0 and 180 degrees, got {self.field_of_view}")

    @classmethod
    def around(
        cls,
        *,
        azimuth: float,
        elevation: float,
        distance: float = DISTANCE,
        field_of_view: float = FIELD_OF_VIEW,
        target: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> "Camera":
        """The camera that looks at a target from a direction.

        Args:
            azimuth: In degrees, from the front (+Z) towards +X.
            elevation: In degrees above the horizon, from -90 to 90.
            distance: From the target, in world units, above 0.
            field_of_view: Horizontal, in degrees.
            target: The point (3,) in the picture's centre.

        Returns:
            The camera, upright.

        Raises:
            ConfigError: An argument is out of range.
        """
        if not -90 <= elevation <= 90 or not distance > 0:
            raise ConfigError(
                f"expected an elevation from -90 to 90 degrees and a distance above 0, got {elevation} and {distance}"
            )
        a, e = math.radians(azimuth), math.radians(elevation)
        right = np.array([math.cos(a), 0.0, -math.sin(a)])
        backward = np.array([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])
        position = np.asarray(target, dtype=np.float64) + distance * backward
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(backward, right), backward, position], axis=1)
        return cls.at(pose, field_of_view=field_of_view)

    @classmethod
    def at(cls, matrix: Floats, *, field_of_view: float) -> "Camera":
        """The camera of a camera-to-world matrix (4, 4)."""
        if matrix.shape != (4, 4):
            raise ConfigError(f"expected a camera-to-world matrix of 4 rows of 4, got {matrix.shape}")
        first, second, third, fourth = (tuple(row) for row in matrix.tolist())
        return cls(pose=(first, second, third, fourth), field_of_view=field_of_view)

    @property
    def matrix(self) -> Floats:
        """Camera to world (4, 4)."""
        return np.array(self.pose, dtype=np.float64)

    @property
    def position(self) -> Floats:
        """Of the pinhole, in the world (3,)."""
        return self.matrix[:3, 3]

    @property
    def azimuth(self) -> float:
        """Direction of the camera seen from its target, in degrees from 0 to below 360."""
        backward = self.matrix[:3, 2]
        return math.degrees(math.atan2(backward[0], backward[2])) % 360

    @property
    def elevation(self) -> float:
        """Height of the camera seen from its target, in degrees."""
        return math.degrees(math.asin(float(np.clip(self.matrix[1, 2], -1, 1))))

    def intrinsics(self, width: int, height: int) -> Floats:
        """The (3, 3) matrix from camera coordinates (x right, y down, z forward) to pixels times depth."""
        focal = width / 2 / math.tan(math.radians(self.field_of_view) / 2)
        return np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])

    def projection(self, width: int, height: int) -> Floats:
        """The (3, 4) matrix from world coordinates (x, y, z, 1) to pixels times depth."""
        return self.intrinsics(width, height) @ np.diag([1.0, -1.0, -1.0]) @ np.linalg.inv(self.matrix)[:3]

    def project(self, points: Floats, width: int, height: int) -> tuple[Floats, Floats]:
        """Where points appear.

        Args:
            points: World coordinates (P, 3).
            width: Of the picture, in pixels.
            height: Of the picture, in pixels.

        Returns:
            Pixel coordinates (P, 2), x right and y down from the picture's corner (the first pixel spans 0 to 1), and
            depths (P,) along the axis, in world units.
        """
        matrix = self.projection(width, height)
        scaled = points @ matrix[:, :3].T + matrix[:, 3]
        return scaled[:, :2] / scaled[:, 2:], scaled[:, 2]

    def directions(self, pixels: Floats, width: int, height: int) -> Floats:
        """Unit directions (R, 3) in the world of the rays through pixel coordinates (R, 2)."""
        focal = self.intrinsics(width, height)[0, 0]
        x, y = (pixels - np.array([width / 2, height / 2])).T
        rays = np.stack([x, -y, np.full_like(x, -focal)], axis=1) @ self.matrix[:3, :3].T
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    def moved(self, *, scale: float, offset: Sequence[float] | Floats) -> "Camera":
        """The camera that sees ``scale * x + offset`` exactly where this one sees x."""
        pose = self.matrix
        pose[:3, 3] = scale * pose[:3, 3] + np.asarray(offset)
        return Camera.at(pose, field_of_view=self.field_of_view)

    def rounded(self, decimals: int = 6) -> "Camera":
        """The camera with its pose rounded, so that computations that differ in the last bits give equal cameras."""
        return Camera.at(self.matrix.round(decimals) + 0.0, field_of_view=self.field_of_view)


def orbit(
    num_views: int = 12,
    *,
    elevations: Sequence[float] = ELEVATIONS,
    distance: float = DISTANCE,
    field_of_view: float = FIELD_OF_VIEW,
) -> tuple[Camera, ...]:
    """Cameras all around the origin: view i has azimuth 360 i / num_views and the elevations in turn.

    Args:
        num_views: How many, 1 or more.
        elevations: In degrees; one for a plain circle.
        distance: From the origin, in world units.
        field_of_view: Horizontal, in degrees.

    Returns:
        The cameras; the first one sees the front.

    Raises:
        ConfigError: There are no views or no elevations, or a number is out of range.
    """
    if num_views < 1 or not elevations:
        raise ConfigError(f"expected one view and one elevation or more, got {num_views} and {len(elevations)}")
    return tuple(
        Camera.around(
            azimuth=360 * number / num_views,
            elevation=elevations[number % len(elevations)],
            distance=distance,
            field_of_view=field_of_view,
        )
        for number in range(num_views)
    )
