"""Where the solids of a scene stand. One definition for building, showing and judging."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lumina_3d.world.primitives import HEIGHTS, INSIDE, TUBE

Floats = npt.NDArray[np.float64]

GAP = 0.08
"""Between two objects side by side, in world units."""


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A primitive in the world: half the longest side of its box, and the box's centre."""

    shape: str
    radius: float
    centre: tuple[float, float, float]

    def contains(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Whether points (P, 3) are inside."""
        return INSIDE[self.shape](*self._unit(points).T)

    def encloses(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Whether points (P, 3) are in a hole of the solid, as a torus has one."""
        if self.shape != "torus":
            return np.zeros(len(points), dtype=bool)
        x, y, z = self._unit(points).T
        return (np.hypot(x, z) < 1 - TUBE) & (abs(y) <= TUBE) & ~self.contains(points)

    def _unit(self, points: Floats) -> Floats:
        """Points in coordinates in which the solid has radius 1 and its centre at the origin."""
        return (points - np.array(self.centre)) / self.radius


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The geometry of a scene without its colours.

    Attributes:
        shapes: Of one or two objects.
        radii: Of the same objects, half the longest side of each one's box, in world units.
        relation: Of the first to the second; None for one.
        turn: Rotation of the whole about the up axis, in degrees from +Z towards +X.
    """

    shapes: tuple[str, ...]
    radii: tuple[float, ...]
    relation: str | None = None
    turn: float = 0.0

    @property
    def solids(self) -> tuple[Solid, ...]:
        """The solids, not turned (``turn`` is for the caller), with the box around all centred on the origin."""
        radii = self.radii
        heights = [HEIGHTS[shape] * radius for shape, radius in zip(self.shapes, radii, strict=True)]
        match self.relation:
            case None:
                centres = [(0.0, 0.0, 0.0)]
            case "on":
                centres = [(0.0, heights[1], 0.0), (0.0, -heights[0], 0.0)]
            case "beside":
                ground = -max(heights)
                spread = radii[0] + radii[1] + GAP / 2
                centres = [
                    (radii[0] - spread, ground + heights[0], 0.0),
                    (spread - radii[1], ground + heights[1], 0.0),
                ]
            case _:
                raise AssertionError(f"{self.relation} is no relation of the world")
        return tuple(
            Solid(shape=shape, radius=radius, centre=centre)
            for shape, radius, centre in zip(self.shapes, radii, centres, strict=True)
        )

    def owners(self, points: Floats) -> npt.NDArray[np.intp]:
        """The number of the object on whose side of the plane between the two points (P, 3) are, ``turn`` included."""
        unturned, solids = points @ turning(self.turn), self.solids
        match self.relation:
            case None:
                return np.zeros(len(points), dtype=np.intp)
            case "on":
                lower = solids[1]
                return (unturned[:, 1] < lower.centre[1] + HEIGHTS[lower.shape] * lower.radius).astype(np.intp)
            case "beside":
                left = solids[0]
                return (unturned[:, 0] > left.centre[0] + left.radius + GAP / 2).astype(np.intp)
        raise AssertionError(f"{self.relation} is no relation of the world")

    def unseen(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Whether points (P, 3) are where no silhouette tells: in the hole of a torus that stands on something."""
        if self.relation != "on":
            return np.zeros(len(points), dtype=bool)
        return self.solids[0].encloses(points @ turning(self.turn))

    def contains(self, points: Floats) -> npt.NDArray[np.bool_]:
        """Whether points (P, 3) are inside one of the solids, ``turn`` included."""
        unturned = points @ turning(self.turn)
        return np.logical_or.reduce([solid.contains(unturned) for solid in self.solids])


def turning(degrees: float) -> Floats:
    """The rotation (3, 3) about the up axis that takes +Z towards +X."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
