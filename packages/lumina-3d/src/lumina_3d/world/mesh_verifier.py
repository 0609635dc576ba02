"""Is a mesh what a sentence says? Its volume is compared with that of the world's own solids, its colours are named.

A mesh may be of any size, stand anywhere and be turned about the up axis: both are first moved to one centre of mass
and scaled to one volume. Of two objects, either may be the larger by any factor that the world knows or one between.
The hole of a ring that stands on something is free, as silhouettes do not show it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flagdit_core.world import Check, Verdict
from lumina_3d.world.fitting import fit
from lumina_3d.world.geometry import Arrangement, turning
from lumina_3d.world.parsing import parse
from lumina_3d.world.primitives import primitive
from lumina_3d.world.scene import Claims
from lumina_3d.world.segmentation import UNCLEAR, color_names
from lumina_3d.world.vocabulary import SIZES

if TYPE_CHECKING:
    import trimesh

Floats = npt.NDArray[np.float64]

LEAST_IOU = 0.6
"""An object is what it resembles most if its volume's intersection over union with that is at least this."""
LEAST_SHARE = 0.07
"""A colour is an object's if it has at least this share of the surface; where two objects meet, colours blend."""
TURNS = tuple(np.arange(0.0, 360.0, 15.0).tolist())
"""A mesh may be turned by any of these, in degrees."""
RADII = tuple(np.geomspace(min(SIZES.values()), max(SIZES.values()), 5).tolist())
"""Of one of two objects. With the world's own three alone, a ball of a size between passes for a stout cylinder."""

_POINTS = 6000
_MARGIN = 0.1


def volume_iou(mesh: "trimesh.Trimesh", arrangement: Arrangement) -> float:
    """Intersection over union of a mesh and an arrangement that have the same volume and centre of mass.

    Args:
        mesh: Watertight.
        arrangement: What to compare with, its ``turn`` included.

    Returns:
        From 0 to 1, estimated from 6000 points.
    """
    points, inside = _sampled(mesh)
    centre, unit = _measure(arrangement)
    return _iou(inside, arrangement.contains(points * unit + centre))


def verify_mesh(mesh: "trimesh.Trimesh", caption: str | Claims) -> Verdict:
    """Compare a mesh with what a caption asserts.

    Args:
        mesh: Watertight, with colours of vertices or faces, +Y up.
        caption: A sentence of the world's language, or its claims.

    Returns:
        Checks of kinds "mesh count", "mesh shape", "mesh color" and "mesh relation"; sizes are free. Measured is the
        "mesh IoU" with the solids that the mesh resembles most, 0 where these are not those of the caption.

    Raises:
        ConfigError: If the caption is not of the language.
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    points, inside = _sampled(mesh)
    found = fit(
        replace(claims, objects=tuple(replace(claim, size=None) for claim in claims.objects)),
        lambda arrangement: float(np.mean(_ious(points, inside, arrangement))),
        turns=TURNS,
        radii=RADII if claims.relation else RADII[:1],
    )
    overlaps = _ious(points, inside, found)
    names, shares = _painted(mesh)
    colors = _colors(mesh, names, shares, found)
    alike = found.relation == "beside" and len(set(found.shapes)) == 1
    if alike and colors[::-1] == [claim.color for claim in claims.objects]:
        colors.reverse()  # two of one shape: beside one another, colours alone say which is the first
    checks = [Check.of("mesh count", str(len(claims.objects)), str(_count(names, shares)))]
    for claim, shape, color, overlap in zip(claims.objects, found.shapes, colors, overlaps, strict=True):
        checks.append(Check.of("mesh shape", claim.shape, shape if overlap >= LEAST_IOU else UNCLEAR))
        checks.append(Check.of("mesh color", claim.color, color))
    if claims.relation is not None:
        relation = str(found.relation) if min(overlaps) >= LEAST_IOU else UNCLEAR
        checks.append(Check.of("mesh relation", claims.relation, relation))
    right = found.shapes == tuple(claim.shape for claim in claims.objects) and found.relation == claims.relation
    return Verdict(checks=tuple(checks), measures={"mesh IoU": float(np.mean(overlaps)) if right else 0.0})


def _sampled(mesh: "trimesh.Trimesh") -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Points (P, 3) all around, evenly spread, in units of the mesh's measure, and whether the mesh contains them."""
    from scipy.stats import qmc

    centre, unit = np.asarray(mesh.center_mass), float(mesh.volume) ** (1 / 3)
    low, high = (np.asarray(mesh.bounds) - centre) / unit
    reach = _MARGIN * (high - low)
    points = qmc.scale(qmc.Halton(3, scramble=False).random(_POINTS), low - reach, high + reach)
    there = points * unit + centre
    # Part by part: where two solids touch, a ray meets two faces in one place, and counts them as one.
    return points, np.logical_xor.reduce(
        [part.ray.contains_points(there) for part in mesh.split(only_watertight=False)]
    )


def _measure(arrangement: Arrangement) -> tuple[Floats, float]:
    """Centre of mass (3,) of an arrangement, ``turn`` included, and the side of a cube of its volume."""
    solids = [(solid, primitive(solid.shape)) for solid in arrangement.solids]
    volumes = np.array([solid.radius**3 * mesh.volume for solid, mesh in solids])
    centres = np.stack([solid.centre + solid.radius * mesh.center_mass for solid, mesh in solids])
    centre = volumes @ centres / volumes.sum() @ turning(arrangement.turn).T
    return centre, float(volumes.sum()) ** (1 / 3)


def _ious(points: Floats, inside: npt.NDArray[np.bool_], arrangement: Arrangement) -> list[float]:
    """Intersection over union at each object of an arrangement, so that all count alike."""
    centre, unit = _measure(arrangement)
    there = points * unit + centre
    expected = arrangement.contains(there)
    owners = np.where(arrangement.unseen(there), -1, arrangement.owners(there))
    return [_iou(inside[owners == number], expected[owners == number]) for number in range(len(arrangement.shapes))]


def _iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def _painted(mesh: "trimesh.Trimesh") -> tuple[npt.NDArray[np.str_], Floats]:
    """The colour's name of each face (F,), and the share of the surface (F,) that the face has."""
    return color_names(np.asarray(mesh.visual.face_colors)[:, :3]), mesh.area_faces / mesh.area


def _count(names: npt.NDArray[np.str_], shares: Floats) -> int:
    """How many colours have enough of the surface to be an object's."""
    return sum(bool(shares[names == name].sum() >= LEAST_SHARE) for name in np.unique(names))


def _colors(
    mesh: "trimesh.Trimesh", names: npt.NDArray[np.str_], shares: Floats, arrangement: Arrangement
) -> list[str]:
    """The name that most of each object's surface has."""
    centre, unit = _measure(arrangement)
    points = (np.asarray(mesh.triangles_center) - mesh.center_mass) / float(mesh.volume) ** (1 / 3) * unit + centre
    owners = arrangement.owners(points)
    found = []
    for number in range(len(arrangement.shapes)):
        own = owners == number
        votes = {str(name): float(shares[own & (names == name)].sum()) for name in np.unique(names[own])}
        found.append(max(votes, key=votes.__getitem__, default=UNCLEAR))
    return found
