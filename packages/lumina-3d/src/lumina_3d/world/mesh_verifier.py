"""Is a mesh what a sentence says? Its volume is compared with that of the world's own solids, its colours are named.

A mesh may be of any size, stand anywhere and be turned about the up axis: both are first moved to one centre of mass
and scaled to one volume.
"""

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flagdit_core.world import Check, Verdict
from lumina_3d.world.building import solid_mesh
from lumina_3d.world.fitting import fit
from lumina_3d.world.geometry import Arrangement, turning
from lumina_3d.world.parsing import parse
from lumina_3d.world.scene import Claims
from lumina_3d.world.segmentation import UNCLEAR, color_names

if TYPE_CHECKING:
    import trimesh

Floats = npt.NDArray[np.float64]

LEAST_IOU = 0.75
"""A mesh is what it resembles most if its volume's intersection over union with that is at least this."""
TURNS = tuple(np.arange(0.0, 360.0, 15.0).tolist())

_POINTS = 12_000
_MARGIN = 0.1
_NEAR = 1.15


def volume_iou(mesh: "trimesh.Trimesh", arrangement: Arrangement) -> float:
    """Intersection over union of a mesh and an arrangement that have the same volume and centre of mass.

    Args:
        mesh: Watertight.
        arrangement: What to compare with, its ``turn`` included.

    Returns:
        From 0 to 1, estimated from 12 000 points.
    """
    points, inside = _sampled(mesh)
    return _iou(inside, _expected(points, arrangement))


def verify_mesh(mesh: "trimesh.Trimesh", caption: str | Claims) -> Verdict:
    """Compare a mesh with what a caption asserts.

    Args:
        mesh: Watertight, with vertex colours, +Y up.
        caption: A sentence of the world's language, or its claims.

    Returns:
        Checks of kinds "mesh shape", "mesh relation" and "mesh color". Sizes are free.

    Raises:
        ConfigError: If the caption is not of the language.
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    points, inside = _sampled(mesh)
    found = fit(claims, lambda arrangement: _iou(inside, _expected(points, arrangement)), turns=TURNS)
    clear = _iou(inside, _expected(points, found)) >= LEAST_IOU
    checks = []
    colors = _colors(mesh, found)
    for number, claim in enumerate(claims.objects):
        checks.append(_check("mesh shape", claim.shape, found.shapes[number] if clear else UNCLEAR))
        checks.append(_check("mesh color", claim.color, colors[number]))
    if claims.relation is not None:
        checks.append(_check("mesh relation", claims.relation, str(found.relation) if clear else UNCLEAR))
    return Verdict(checks=tuple(checks))


def _sampled(mesh: "trimesh.Trimesh") -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Points (P, 3) all around, evenly spread, in units of the mesh's measure, and whether the mesh contains them."""
    from scipy.stats import qmc

    centre, unit = np.asarray(mesh.center_mass), float(mesh.volume) ** (1 / 3)
    low, high = (np.asarray(mesh.bounds) - centre) / unit
    reach = _MARGIN * (high - low)
    points = qmc.scale(qmc.Halton(3, scramble=False).random(_POINTS), low - reach, high + reach)
    return points, mesh.ray.contains_points(points * unit + centre)


def _expected(points: Floats, arrangement: Arrangement) -> npt.NDArray[np.bool_]:
    """Whether points in units of a mesh's measure are in the arrangement, in units of its own."""
    centre, unit = _measure(arrangement)
    return arrangement.contains(points * unit + centre)


@lru_cache(maxsize=4096)
def _measure(arrangement: Arrangement) -> tuple[Floats, float]:
    """Centre of mass (3,) of an arrangement, ``turn`` included, and the side of a cube of its volume."""
    meshes = [solid_mesh(solid) for solid in arrangement.solids]
    volumes = np.array([mesh.volume for mesh in meshes])
    centres = np.stack([mesh.center_mass for mesh in meshes])
    centre = volumes @ centres / volumes.sum() @ turning(arrangement.turn).T
    return centre, float(volumes.sum()) ** (1 / 3)


def _iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def _colors(mesh: "trimesh.Trimesh", arrangement: Arrangement) -> list[str]:
    """The name that most vertices near each solid's surface, and near no other's, have."""
    centre, unit = _measure(arrangement)
    points = (np.asarray(mesh.vertices) - mesh.center_mass) / float(mesh.volume) ** (1 / 3) * unit + centre
    points = points @ turning(arrangement.turn)
    near = np.stack([replace(solid, radius=_NEAR * solid.radius).contains(points) for solid in arrangement.solids])
    alone = near & (near.sum(axis=0) == 1)
    names = color_names(np.asarray(mesh.visual.vertex_colors)[:, :3])
    return [Counter(names[where].tolist()).most_common(1)[0][0] if where.any() else UNCLEAR for where in alone]


def _check(kind: str, expected: str, found: str) -> Check:
    return Check(kind=kind, expected=expected, found=found, passed=found == expected)
