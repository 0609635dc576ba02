"""The solids of the world, as meshes and as rules of what is inside. Radius 1 means a box whose longest side is 2.

All are centred on their box: +Y is up, cubes and pyramids face +Z, a torus lies flat.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import trimesh

Floats = npt.NDArray[np.float64]
Inside = Callable[[Floats, Floats, Floats], npt.NDArray[np.bool_]]

TUBE = 0.27
"""Radius of the torus's tube, where its outer radius is 1."""
HEIGHTS: dict[str, float] = {"cube": 1.0, "sphere": 1.0, "cone": 1.0, "cylinder": 1.0, "torus": TUBE, "pyramid": 1.0}
"""Half the height of each solid."""

_SEGMENTS = 96


def _turned(profile: list[tuple[float, float]], segments: int = _SEGMENTS) -> "trimesh.Trimesh":
    """The solid that a profile of (radius, height), from its lower to its upper end, sweeps around the up axis."""
    from trimesh.creation import revolve

    solid = revolve(np.array(profile), sections=segments)
    return solid.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def _pyramid() -> "trimesh.Trimesh":
    """Four sloping faces over a square of side 2."""
    import trimesh

    corners = [(-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1), (0, 1, 0)]
    faces = [(0, 1, 2), (0, 2, 3), (1, 0, 4), (2, 1, 4), (3, 2, 4), (0, 3, 4)]
    return trimesh.Trimesh(vertices=corners, faces=faces)


@cache
def primitive(shape: str) -> "trimesh.Trimesh":
    """The mesh of a solid of radius 1; copy it before changing it."""
    import trimesh

    match shape:
        case "cube":
            return trimesh.creation.box(extents=(2, 2, 2))
        case "sphere":
            return trimesh.creation.icosphere(subdivisions=5, radius=1)
        case "cone":
            return _turned([(0, -1), (1, -1), (0, 1)])
        case "cylinder":
            return _turned([(0, -1), (1, -1), (1, 1), (0, 1)])
        case "torus":
            angles = np.linspace(0, 2 * np.pi, _SEGMENTS // 2 + 1)
            ring = np.stack([1 - TUBE + TUBE * np.cos(angles), TUBE * np.sin(angles)], axis=1)
            ring[-1] = ring[0]
            return _turned(ring.tolist())
        case "pyramid":
            return _pyramid()
    raise AssertionError(f"{shape} is no shape of the world")


INSIDE: dict[str, Inside] = {
    "cube": lambda x, y, z: np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= 1,
    "sphere": lambda x, y, z: x**2 + y**2 + z**2 <= 1,
    "cone": lambda x, y, z: (abs(y) <= 1) & (np.hypot(x, z) <= (1 - y) / 2),
    "cylinder": lambda x, y, z: (abs(y) <= 1) & (np.hypot(x, z) <= 1),
    "torus": lambda x, y, z: np.hypot(np.hypot(x, z) - (1 - TUBE), y) <= TUBE,
    "pyramid": lambda x, y, z: (abs(y) <= 1) & (np.maximum(abs(x), abs(z)) <= (1 - y) / 2),
}
"""Whether points are inside a solid of radius 1, by shape."""
