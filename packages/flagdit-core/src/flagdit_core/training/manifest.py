"""A folder of files with captions in ``metadata.jsonl``, shared by all modalities."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from flagdit_core.errors import CodecError, ConfigError, DataError
from flagdit_core.training.data import Example

logger = logging.getLogger(__name__)
OnError = Literal["raise", "skip"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a manifest.

    Attributes:
        path: The file.
        caption: What it shows.
    """

    path: Path
    caption: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a folder holds.

    Attributes:
        entries: The usable lines, in the file's order.
        skipped: One message for each line left out.
    """

    entries: list[Entry]
    skipped: list[str]


def read_manifest(folder: Path | str, *, on_error: OnError = "raise") -> Manifest:
    """The entries of ``folder/metadata.jsonl``.

    Each line is a JSON object with ``file_name`` (relative to the folder) and ``text``, the format of Hugging Face's
    ImageFolder and AudioFolder data sets. Empty lines are ignored, and a byte order mark.

    Args:
        folder: The folder.
        on_error: What to do with a line that is no such object, or whose file is missing or empty.

    Returns:
        Entries, and messages about what was skipped.

    Raises:
        DataError: The manifest is missing or has no usable line, or a line is bad and ``on_error`` is "raise".
        ConfigError: ``on_error`` is something else.
    """
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    folder = Path(folder)
    manifest = folder / "metadata.jsonl"
    try:
        lines = manifest.read_text(encoding="utf-8-sig").split("\n")  # no other line break ends a line of JSON
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f'expected {manifest} with a line {{"file_name": ..., "text": ...}} for each file, cannot read it: {error}'
        ) from error
    entries: list[Entry] = []
    skipped: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entries.append(_read_line(line, folder))
        except DataError as error:
            message = f"{manifest}, line {number}: {error}"
            if on_error == "raise":
                raise DataError(f"{message}; mend it, or skip such lines with on_error='skip'") from error
            skipped.append(message)
            logger.warning("skipped: %s", message)
    if not entries:
        raise DataError(f"{manifest} has no usable line ({len(skipped)} skipped)")
    return Manifest(entries=entries, skipped=skipped)


class FolderDataset:
    """Examples of a manifest, loaded on access; every latent keeps the shape of its file.

    Args:
        manifest: The entries.
        load: The latent of a file; it raises ``DataError`` or ``CodecError`` for one that cannot be decoded.
        on_error: Whether such a file stops the training, or is replaced by the next one and noted in ``skipped``.
        cache: Keep what was loaded in memory.
    """

    def __init__(
        self, manifest: Manifest, load: Callable[[Path], Tensor], *, on_error: OnError = "raise", cache: bool = False
    ) -> None:
        self._entries = manifest.entries
        self._load = load
        self._on_error = on_error
        self._cache: dict[Path, Tensor] | None = {} if cache else None
        self.skipped: dict[Path, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Example:
        for entry in (*self._entries[index:], *self._entries[:index]):
            if entry.path in self.skipped:
                continue
            try:
                return Example(latent=self._latent(entry.path), caption=entry.caption)
            except (CodecError, DataError) as error:
                if self._on_error == "raise":
                    raise DataError(str(error)) from error
                self.skipped[entry.path] = str(error)
                logger.warning("skipped: %s", error)
        raise DataError(
            f"none of the {len(self._entries)} files can be read, first {next(iter(self.skipped.values()))}"
        )

    def _latent(self, path: Path) -> Tensor:
        if self._cache is None:
            return self._load(path)
        if path not in self._cache:
            self._cache[path] = self._load(path)
        return self._cache[path]


def _read_line(line: str, folder: Path) -> Entry:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"expected a JSON object, got {line.strip()[:80]!r}") from error
    if not isinstance(record, dict):
        raise DataError(f"expected a JSON object, got {line.strip()[:80]!r}")
    name, text = record.get("file_name"), record.get("text")
    if not isinstance(name, str) or not isinstance(text, str):
        raise DataError(f"expected strings under file_name and text, got keys {sorted(record)}")
    path = folder / name
    try:
        if not path.is_file():
            raise DataError(f"{path} does not exist")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty")
    except OSError as error:  # such as a name too long, where the caption stands in its place
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return Entry(path=path, caption=text)
