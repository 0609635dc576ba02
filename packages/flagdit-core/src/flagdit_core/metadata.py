"""The settings that a file was made with, as one text that every kind of container can carry."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagdit_core.errors import CodecError

METADATA_KEY = "lumina"
"""What containers with named entries call the text."""


def encode_metadata(metadata: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Settings as text, in UTF-8 whatever the names of files in it are in: JSON's escapes stand for other bytes.

    Args:
        metadata: JSON-ready settings.
        ascii_only: Write other letters as JSON's escapes, for containers that know no encoding.

    Returns:
        JSON in one line.

    Example:
        >>> encode_metadata({"seed": 7})
        '{"seed": 7}'
    """
    return json.dumps(dict(metadata), ensure_ascii=ascii_only).encode(errors="backslashreplace").decode()


def fingerprints(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """What is kept of files that something was made from.

    Args:
        files: By what they were given as, such as ``"first-frame"``; all of them there.

    Returns:
        For each its ``path`` as it was given, and the ``sha256`` of its content in hexadecimal.
    """
    return {name: {"path": str(path), "sha256": _sha256(path)} for name, path in files.items()}


def decode_metadata(text: str | None, path: Path | str) -> dict[str, Any]:
    """The settings of a text that :func:`encode_metadata` made.

    Args:
        text: As it stood in the file; None or anything else where the file was made elsewhere.
        path: The file, for the message.

    Returns:
        The settings.

    Raises:
        CodecError: The text is not of this program.
    """
    try:
        settings = json.loads(text or "")
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise CodecError(f"{path} carries no settings of this program; it may have been edited or made elsewhere")
    return settings


def _sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
