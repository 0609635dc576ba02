"""Files and folders appear whole or not at all."""

from pathlib import Path

import pytest

from flagdit_core.errors import ConfigError, OutputError
from flagdit_core.output import atomic_file, atomic_folder, check_ending, check_new_folder, check_output


def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    """Checking a place writes nothing there."""
    check_output(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder, a missing one, a file as the parent and a name too long are refused, each by name."""
    (tmp_path / "file").touch()
    for path, says in (
        (tmp_path, "is a folder"),
        (Path(), "is a folder"),
        (Path("/"), "is a folder"),
        (tmp_path / "no" / "a.png", "there is no folder"),
        (tmp_path / "file" / "a.png", "there is no folder"),
        (Path("/proc/a.png"), "cannot write"),
        (tmp_path / f"{'a' * 300}.png", "cannot write"),
    ):
        with pytest.raises(OutputError, match=says):
            check_output(path)


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    """What is there already, and a place under a file or in a closed folder, are refused; missing parents are not."""
    (tmp_path / "file").touch()
    for path, says in (
        (tmp_path, "already there"),
        (tmp_path / "file", "already there"),
        (tmp_path / "file" / "folder", "Not a directory"),
        (Path("/proc/folder"), "cannot make"),
    ):
        with pytest.raises(OutputError, match=says):
            check_new_folder(path)
    check_new_folder(tmp_path / "no" / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """A name that just fits into the file system is no longer while it is being written."""
    path = tmp_path / f"{'a' * 251}.png"
    check_output(path)
    with atomic_file(path) as temporary:
        temporary.touch()
    assert path.exists()


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """An error in the middle leaves the old content, and no temporary file."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_good_write_replaces(tmp_path: Path) -> None:
    """The temporary file has the same ending and becomes the file, by renaming and not by copying."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_file(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert path.read_text() == "old"
        written = temporary.stat().st_ino
    assert path.read_text() == "new"
    assert path.stat().st_ino == written


def test_the_file_systems_refusal_is_ours(tmp_path: Path) -> None:
    """An OSError inside becomes an OutputError that names the target."""
    with pytest.raises(OutputError, match=r"a\.txt"), atomic_file(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")


def test_folder_appears_whole_or_not(tmp_path: Path) -> None:
    """A failed folder vanishes, a good one stays and is never overwritten."""
    path = tmp_path / "model"
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(path) as temporary:
        (temporary / "whole").touch()
    with pytest.raises(OutputError, match="already there"), atomic_folder(path):
        pass
    assert [child.name for child in path.iterdir()] == ["whole"]


def test_endings_are_checked(tmp_path: Path) -> None:
    """An ending comes back in lower case; another is named with those that can be."""
    assert check_ending(tmp_path / "a.MP4", (".mp4", ".gif"), "a film file") == ".mp4"
    for name in ("a.avi", "a"):
        with pytest.raises(ConfigError, match=r"a film file ends in \.mp4, \.gif"):
            check_ending(tmp_path / name, (".mp4", ".gif"), "a film file")
