"""Mesh files that carry the settings they were made with, and appear whole or not at all."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagdit_core.errors import CodecError, OutputError
from flagdit_core.metadata import METADATA_KEY, decode_metadata, encode_metadata
from flagdit_core.output import atomic_file, check_ending
from flagdit_core.picture_files import read_png_metadata
from lumina_3d.transforms import read_transforms
from lumina_3d.views import Object3D

ENDINGS = (".glb", ".obj", ".ply", ".stl")

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
    return check_ending(path, ENDINGS, "a file of an object")


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
    from trimesh.exchange.gltf import export_glb
    from trimesh.exchange.obj import export_obj
    from trimesh.exchange.ply import export_ply
    from trimesh.exchange.stl import export_stl

    def with_extras(tree: dict[str, Any]) -> None:
        tree["asset"] |= {"generator": "lumina-3d", "extras": {METADATA_KEY: dict(metadata)}}

    path, mesh = Path(path), item.mesh
    match check_mesh_file(path):
        case ".glb":
            content = export_glb(mesh.scene(), include_normals=True, tree_postprocessor=with_extras)
        case ".obj":
            content = with_comment(export_obj(mesh, header=None).encode(), ".obj", metadata)
        case ".ply":
            content = with_comment(export_ply(mesh), ".ply", metadata)
        case ".stl":
            content = export_stl(mesh)
        case other:
            raise AssertionError(f"{other} is known and not written")
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that any of this package's files was saved with.

    Args:
        path: A mesh, points, a turntable, or the ``transforms.json`` of a folder of views.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or damaged, cannot hold settings, or was not made by this program.
    """
    path = Path(path)
    try:
        match path.suffix.lower():
            case ".glb":
                return decode_metadata(_gltf_text(path.read_bytes(), path), path)
            case ".obj" | ".ply" as ending:
                return decode_metadata(_comment(path, ending), path)
            case ".json":
                return decode_metadata(json.dumps(read_transforms(path)[2].get(METADATA_KEY)), path)
            case ".png":
                return read_png_metadata(path)
            case ".mp4" | ".webm" | ".gif":
                from flagdit_core.film_files import read_film_metadata  # loads PyAV

                return read_film_metadata(path)
            case ".stl":
                raise CodecError(f"{path}: STL files hold no settings; .glb, .obj and .ply files do")
            case ending:
                raise CodecError(f"{path}: this program puts no settings into files that end in {ending!r}")
    except FileNotFoundError as error:
        raise CodecError(f"there is no file {path}") from error
    except OSError as error:
        raise CodecError(f"{path} cannot be read: {error.strerror or error}") from error


def with_comment(content: bytes, ending: str, metadata: Mapping[str, Any]) -> bytes:
    """An OBJ or PLY file with the settings in a comment: OBJ's first line, PLY's third."""
    comment = f"{_COMMENTS[ending]}{encode_metadata(metadata, ascii_only=True)}\n".encode("ascii")
    if len(comment) > _HEADER_BYTES // 2:
        raise OutputError(f"expected settings of at most {_HEADER_BYTES // 2} bytes, got {len(comment)}")
    if ending == ".obj":
        return comment + content
    magic, form, rest = content.split(b"\n", 2)
    return magic + b"\n" + form + b"\n" + comment + rest


def _comment(path: Path, ending: str) -> str | None:
    """The settings in the beginning of an OBJ or PLY file."""
    prefix = _COMMENTS[ending].encode("ascii")
    with path.open("rb") as file:
        lines = file.read(_HEADER_BYTES).split(b"\n")
    line = next((line for line in lines if line.startswith(prefix)), None)
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
