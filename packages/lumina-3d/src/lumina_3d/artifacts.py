"""Files of objects, points and views that carry the settings they were made with, and appear whole or not at all."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError, OutputError
from flagdit_core.metadata import METADATA_KEY, decode_metadata, encode_metadata
from flagdit_core.output import atomic_file, atomic_folder
from lumina_3d.cameras import read_transforms, write_transforms
from lumina_3d.views import Object3D, Views

if TYPE_CHECKING:
    import trimesh

ENDINGS = (".glb", ".obj", ".ply", ".stl")
TRANSFORMS = "transforms.json"

_GLB_MAGIC, _GLB_JSON = b"glTF", b"JSON"
_COMMENTS = {".obj": f"# {METADATA_KEY} ", ".ply": f"comment {METADATA_KEY} "}
_HEADER_BYTES = 1 << 20


def check_mesh_file(path: Path) -> str:
    """The kind of mesh file that an ending stands for.

    Args:
        path: The file to be written.

    Returns:
        The ending in lower case, one of ``ENDINGS``.

    Raises:
        ConfigError: The file ending is not one of ours.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{path} ends in {ending!r}; a file of an object ends in {', '.join(ENDINGS)}")
    return ending


def save_object(item: Object3D, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write an object's mesh with the settings it was made with.

    Args:
        item: The object.
        path: File to write, whose ending picks the format; a file that is there is replaced. STL holds neither
            colours nor settings.
        metadata: JSON-ready settings, stored in glTF's ``asset.extras`` or in a comment of OBJ and PLY.

    Raises:
        ConfigError: The file ending is not one of ours.
        OutputError: The file cannot be written.
    """
    _save(item.mesh, Path(path), metadata)


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
    if path.suffix.lower() != ".ply":
        raise ConfigError(f"{path} ends in {path.suffix!r}; a file of points ends in .ply")
    points, normals, colors = sample_points(item.mesh, count)
    kinds = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    table = np.empty(count, dtype=[*kinds, *((name, "u1") for name in ("red", "green", "blue"))])
    for name, column in zip(table.dtype.names or (), np.concatenate([points, normals, colors], axis=1).T, strict=True):
        table[name] = column
    names = {"<f4": "float", "|u1": "uchar"}
    properties = [f"property {names[table.dtype[name].str]} {name}" for name in table.dtype.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}", *properties, "end_header", ""]
    with atomic_file(path) as temporary:
        temporary.write_bytes(_commented("\n".join(header).encode(), ".ply", metadata) + table.tobytes())


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


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that :func:`save_object`, :func:`save_points` or :func:`save_views` stored.

    Args:
        path: A mesh file, or the ``transforms.json`` of a folder of views.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or damaged, cannot hold settings, or was not made by this program.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".stl":
        raise CodecError(f"{path}: STL files hold no settings; .glb, .obj and .ply files do")
    if path.name == TRANSFORMS:
        content = read_transforms(path)[2].get(METADATA_KEY)
        return decode_metadata(None if content is None else json.dumps(content), path)
    try:
        with path.open("rb") as file:
            text = _gltf_text(file.read(), path) if ending == ".glb" else _comment(file.read(_HEADER_BYTES), ending)
    except FileNotFoundError as error:
        raise CodecError(f"there is no file {path}") from error
    except OSError as error:
        raise CodecError(f"{path} cannot be read: {error.strerror or error}") from error
    return decode_metadata(text, path)


def save_views(views: Views, folder: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write views as PNG files with their cameras in ``transforms.json``, as NeRF tools read them.

    Args:
        views: The pictures and cameras.
        folder: Must not be there yet.
        metadata: JSON-ready settings, stored in ``transforms.json`` under "lumina".

    Raises:
        ConfigError: The cameras differ in their field of view.
        OutputError: The folder is there already, or cannot be written.
    """
    with atomic_folder(Path(folder)) as temporary:
        files = [f"{number:03d}.png" for number in range(len(views.images))]
        for file, image in zip(files, views.images, strict=True):
            Image.fromarray(image).save(temporary / file)
        size = {"width": views.width, "height": views.height}
        extra = {METADATA_KEY: dict(metadata)}
        write_transforms(temporary / TRANSFORMS, views.cameras, files, **size, extra=extra)


def load_views(folder: Path | str) -> Views:
    """The views of a folder that :func:`save_views` wrote, or another one with pictures and a ``transforms.json``.

    Args:
        folder: The folder.

    Returns:
        The views.

    Raises:
        CodecError: A file is missing or damaged, or the pictures differ in size.
    """
    folder = Path(folder)
    cameras, files, _ = read_transforms(folder / TRANSFORMS)
    images = []
    for file in files:
        try:
            with Image.open(folder / file) as image:
                images.append(np.asarray(image.convert("RGB")))
        except OSError as error:
            raise CodecError(f"{folder / file} cannot be read as a picture: {error}") from error
    if len({image.shape for image in images}) != 1:
        raise CodecError(f"expected one or more pictures of one size in {folder}")
    return Views(images=np.stack(images), cameras=cameras)


def _save(mesh: "trimesh.Trimesh", path: Path, metadata: Mapping[str, Any]) -> None:
    """Write a mesh of any kind of file."""
    from trimesh.exchange.gltf import export_glb
    from trimesh.exchange.obj import export_obj
    from trimesh.exchange.ply import export_ply
    from trimesh.exchange.stl import export_stl

    def with_extras(tree: dict[str, Any]) -> None:
        tree["asset"] |= {"generator": "lumina-3d", "extras": {METADATA_KEY: dict(metadata)}}

    match check_mesh_file(path):
        case ".glb":
            content = export_glb(mesh.scene(), include_normals=True, tree_postprocessor=with_extras)
        case ".obj":
            content = _commented(export_obj(mesh, header=None).encode(), ".obj", metadata)
        case ".ply":
            content = _commented(export_ply(mesh), ".ply", metadata)
        case ".stl":
            content = export_stl(mesh)
        case other:
            raise AssertionError(f"{other} is known and not written")
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _commented(content: bytes, ending: str, metadata: Mapping[str, Any]) -> bytes:
    """An OBJ or PLY file with the settings in a comment: OBJ's first line, PLY's third."""
    comment = f"{_COMMENTS[ending]}{encode_metadata(metadata, ascii_only=True)}\n".encode("ascii")
    if len(comment) > _HEADER_BYTES // 2:
        raise OutputError(f"expected settings of at most {_HEADER_BYTES // 2} bytes, got {len(comment)}")
    if ending == ".obj":
        return comment + content
    magic, form, rest = content.split(b"\n", 2)
    return magic + b"\n" + form + b"\n" + comment + rest


def _comment(header: bytes, ending: str) -> str | None:
    """The settings in the beginning of an OBJ or PLY file."""
    prefix = _COMMENTS.get(ending, "").encode()
    lines = (line for line in header.split(b"\n") if prefix and line.startswith(prefix))
    line = next(lines, None)
    return None if line is None else line[len(prefix) :].decode("ascii", errors="replace")


def _gltf_text(content: bytes, path: Path) -> str | None:
    """The settings in a binary glTF file."""
    try:
        magic, _, _, length, kind = struct.unpack_from("<4sII I4s", content)
        if magic != _GLB_MAGIC or kind != _GLB_JSON:
            raise ValueError("no binary glTF")
        extras = json.loads(content[20 : 20 + length])["asset"].get("extras", {})
        return json.dumps(extras[METADATA_KEY]) if METADATA_KEY in extras else None
    except (struct.error, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CodecError(f"{path} cannot be read as a glTF file: {error}") from error
