"""From what a user calls a model ("nano", a folder, a hub id) to a local folder."""

import re
from collections.abc import Mapping
from pathlib import Path

from flagdit_core.errors import CheckpointError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SAFE_FILES = (
    "*.json",
    "*.safetensors",
    "*.txt",
    "*.md",
    "*.model",
    "**/*.json",
    "**/*.safetensors",
    "**/*.txt",
    "**/*.model",
)


def resolve_model(model: str | Path, shipped: Mapping[str, Path]) -> Path:
    """The local folder of a model, fetched from the hub if need be.

    Args:
        model: A shipped model's short name, a local folder, or a hub id ``owner/name``; tried in this order.
        shipped: Folders of the models inside the installed packages, by short name.

    Returns:
        A folder that exists.

    Raises:
        CheckpointError: There is no such folder, the name is unknown, or the hub cannot be reached or lacks it.
    """
    if isinstance(model, str) and model in shipped:
        folder = shipped[model]
        if not folder.is_dir():
            raise CheckpointError(f"model {model!r} is not part of this installation: {folder} is missing")
        return folder
    try:
        path = Path(model).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a home that is not there
        raise CheckpointError(f"{str(model)!r} cannot be the name of a model folder: {error}") from error
    if model != "" and is_folder:
        return path
    if is_file:
        raise CheckpointError(f"{model} is a file; expected a model folder")
    name = str(model)
    if isinstance(model, Path) or _looks_like_path(name, path):
        raise CheckpointError(f"there is no model folder {name!r}")
    if _HUB_ID.fullmatch(name):
        return _fetch(name)
    known = ", ".join(sorted(shipped)) or "none is shipped"
    raise CheckpointError(f"unknown model {name!r}; expected a shipped one ({known}), a folder, or a hub id owner/name")


def _looks_like_path(name: str, path: Path) -> bool:
    """Whether a string can only have been meant as a folder."""
    if not name or name.startswith((".", "/", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1:
        return True
    return "/" in name and path.parent.is_dir()


def _fetch(hub_id: str) -> Path:
    """A snapshot of a hub model, without anything that would have to be unpickled."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_SAFE_FILES)))
    except Exception as error:  # the hub client raises many kinds, of several libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"there is no local folder {hub_id}, and the hub did not give a model of that name ({reason}); "
            "give a local folder, or check the name and the connection"
        ) from error
