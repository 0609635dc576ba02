"""Points spread over an object's surface, and the file of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flagdit_core.errors import ConfigError
from flagdit_core.output import atomic_file, check_ending
from lumina_3d.artifacts import with_comment
from lumina_3d.views import Object3D

if TYPE_CHECKING:
    import trimesh


def save_points(item: Object3D, path: Path | str, metadata: Mapping[str, Any], *, count: int = 10_000) -> None:
    """Write points spread evenly over an object's surface, with colours and normals.

    Args:
        item: The object.
        path: A .ply file to write; a file that is there is replaced.
        metadata: JSON-ready settings, stored in a comment.
        count: Number of points, 1 or more.

    Raises:
        ConfigError: The file does not end in .ply, or the count is not positive.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    check_ending(path, (".ply",), "a file of points")
    points, normals, colors = sample_points(item.mesh, count)
    kinds = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    table = np.empty(count, dtype=[*kinds, *((name, "u1") for name in ("red", "green", "blue"))])
    for name, column in zip(table.dtype.names or (), np.concatenate([points, normals, colors], axis=1).T, strict=True):
        table[name] = column
    names = {"<f4": "float", "|u1": "uchar"}
    properties = [f"property {names[table.dtype[name].str]} {name}" for name in table.dtype.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}", *properties, "end_header", ""]
    with atomic_file(path) as temporary:
        temporary.write_bytes(with_comment("\n".join(header).encode(), ".ply", metadata) + table.tobytes())


def sample_points(
    mesh: "trimesh.Trimesh", count: int, *, seed: int = 0
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points spread over a surface by area.

    Args:
        mesh: With vertex colours.
        count: Number of points, 1 or more.
        seed: Of the choice; equal seeds give equal points.

    Returns:
        Points (count, 3), unit normals (count, 3) and RGB colours (count, 3), 0-255.

    Raises:
        ConfigError: The count is not positive.
    """
    import trimesh

    if count < 1:
        raise ConfigError(f"expected 1 point or more, got {count}")
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    corners = trimesh.triangles.points_to_barycentric(mesh.triangles[faces], points)
    colors = np.asarray(mesh.visual.vertex_colors)[mesh.faces[faces], :3]
    return points, mesh.face_normals[faces], np.rint((corners[:, :, None] * colors).sum(axis=1))
