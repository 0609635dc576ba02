"""Files and folders that appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from flagdit_core.errors import ConfigError, OutputError


def check_ending(path: Path, endings: Collection[str], what: str) -> str:
    """The kind of file that an ending stands for.

    Args:
        path: The file to be written.
        endings: Those that can be, in lower case and with their dot.
        what: What the file holds, for the message, such as "a film file".

    Returns:
        The ending in lower case.

    Raises:
        ConfigError: It is another.
    """
    ending = path.suffix.lower()
    if ending not in endings:
        raise ConfigError(f"{path} ends in {path.suffix!r}; {what} ends in {', '.join(endings)}")
    return ending


def check_output(path: Path) -> None:
    """Make sure, before any work, that a file can be written at ``path``.

    Args:
        path: Where the file is to be; one that is already there would be replaced.

    Raises:
        OutputError: The folder is missing or not writable, ``path`` is itself a folder, or its name is too long.
    """
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; expected the path of a file to write")
        if not path.parent.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
        path.exists()  # a name too long for the file system raises
        _probe(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` when the block ends well, and vanishes when it does not.

    Args:
        path: Where the file is to be.

    Yields:
        A fresh path in the same folder with the same ending.

    Raises:
        OutputError: The file system refuses.
    """
    temporary = _beside(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_new_folder(path: Path) -> None:
    """Make sure, before any work, that a folder can be made at ``path``, its parents included.

    Args:
        path: Where the folder is to be.

    Raises:
        OutputError: Something is there already, or the nearest folder above it is not writable.
    """
    if path.exists():
        raise OutputError(f"{path} is already there; choose another name or move it away first")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        _probe(above / path.name)
    except OSError as error:
        raise OutputError(f"cannot make {path}: {above}: {error.strerror or error}") from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``path`` when the block ends well, and vanishes when it does not.

    Args:
        path: Where the folder is to be; nothing may be there yet.

    Yields:
        An empty folder beside ``path``.

    Raises:
        OutputError: Something is at ``path`` already, or the file system refuses.
    """
    check_new_folder(path)
    temporary = _beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _probe(path: Path) -> None:
    """Write a file beside ``path`` and take it away again."""
    probe = _beside(path)
    probe.touch(exist_ok=False)
    probe.unlink()


def _beside(path: Path) -> Path:
    """A short name in the same folder, with the same ending, that nobody else uses."""
    return path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}{path.suffix}")
