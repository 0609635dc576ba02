"""Checking a model folder before anything of it is loaded, so that a damaged one says what is wrong in one line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagdit_core.errors import CheckpointError

MODEL_INDEX = "model_index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_LFS_HEAD = b"version https://git-lfs.github.com/spec/"
_HEADER_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # the safetensors format's own limit


def read_model_index(folder: Path, *, class_name: str | None = None) -> dict[str, Any]:
    """``model_index.json`` of a model folder.

    Args:
        folder: A local model folder.
        class_name: The pipeline class that the folder must hold; any by default.

    Returns:
        The file's mapping.

    Raises:
        CheckpointError: The folder or the file is missing, is not a JSON object, or holds another pipeline.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no model folder {folder}")
    index = _read_json_object(folder / MODEL_INDEX, f"{folder} is no model folder, or was only half written")
    found = index.get("_class_name")
    if class_name is not None and found != class_name:
        raise CheckpointError(
            f"{folder} holds the pipeline {found}, expected {class_name}: choose a model of this modality"
        )
    return index


def index_section(folder: Path, index: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One mapping inside a model index.

    Args:
        folder: Named in errors.
        index: Its model index.
        name: Such as "sampling".

    Returns:
        The mapping.

    Raises:
        CheckpointError: It is not there or not a mapping.
    """
    section = index.get(name)
    if not isinstance(section, dict):
        raise CheckpointError(f"{folder / MODEL_INDEX} is incomplete: {name!r} must be a JSON object, got {section!r}")
    return section


def component_names(index: Mapping[str, Any]) -> list[str]:
    """The sub-folders that an index promises: its entries of the form ``name: [library, class]``."""
    return [
        name
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    ]


def check_folder(folder: Path, index: Mapping[str, Any]) -> None:
    """Make sure that every component is there and whole.

    Args:
        folder: A local model folder.
        index: Its model index.

    Raises:
        CheckpointError: A component is missing, has no weights, a truncated or missing shard, a git-lfs pointer, or
            only pickles.
    """
    for name in component_names(index):
        component = folder / name
        if not component.is_dir():
            raise CheckpointError(
                f"{folder} is incomplete: {MODEL_INDEX} promises {name}/, which is missing; get it anew"
            )
        for path in sorted(component.rglob("*")):
            if path.is_file():
                _check_no_pointer(path)
        if name != "tokenizer":
            check_weights(component)


def check_weights(component: Path) -> None:
    """Make sure that a component folder has its ``config.json`` and whole safetensors files.

    Args:
        component: The folder of one network.

    Raises:
        CheckpointError: See :func:`check_folder`.
    """
    _read_json_object(component / "config.json", f"{component} is incomplete")
    shards = set(component.glob("*.safetensors"))
    for index_path in component.glob("*.safetensors.index.json"):
        weight_map = _read_json_object(index_path, f"{component} is incomplete").get("weight_map", {})
        promised = {component / str(name) for name in weight_map.values()}
        if missing := sorted(promised - shards):
            raise CheckpointError(f"{component} is incomplete: shard {missing[0].name} is missing; get it anew")
    if not shards:
        pickles = sorted(path.name for path in component.iterdir() if path.suffix in _PICKLES)
        if pickles:
            raise CheckpointError(
                f"{component} holds its weights as a pickle ({pickles[0]}), which could run code and is never read; "
                "convert it to safetensors with: lumina convert"
            )
        raise CheckpointError(f"{component} is incomplete: it has no *.safetensors file; get it anew")
    for shard in sorted(shards):
        read_header(shard)


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """What a safetensors file says that it holds, checked against its length.

    Args:
        path: The file.

    Returns:
        Tensor name to its dtype, shape and data offsets.

    Raises:
        CheckpointError: It is a git-lfs pointer, truncated, or no safetensors file.
    """
    _check_no_pointer(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
        if length > _LONGEST_HEADER:
            raise CheckpointError(f"{path} is not a safetensors file")
        text = file.read(length)
    if len(text) < length or not length:
        raise CheckpointError(f"{path} is truncated: {size} bytes do not even hold its header; get it anew")
    try:
        header = {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or its header is damaged; get it anew") from error
    expected = _HEADER_LENGTH_BYTES + length + end
    if size != expected:
        raise CheckpointError(f"{path} is truncated or damaged: expected {expected} bytes, got {size}; get it anew")
    return header


def _check_no_pointer(path: Path) -> None:
    """Refuse the text file that git leaves where git-lfs did not run."""
    with path.open("rb") as file:
        if file.read(len(_LFS_HEAD)) == _LFS_HEAD:
            raise CheckpointError(
                f"{path} is a git-lfs pointer and not the file itself: run `git lfs pull` in its repository"
            )


def _read_json_object(path: Path, otherwise: str) -> dict[str, Any]:
    """The JSON object in a file."""
    if not path.is_file():
        raise CheckpointError(f"{otherwise}: {path.name} is missing")
    _check_no_pointer(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{otherwise}: {path.name} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{otherwise}: {path.name} must hold a JSON object, got {type(value).__name__}")
    return value
