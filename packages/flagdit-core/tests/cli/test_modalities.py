"""Modalities are found by entry points, and a file's ending leads to one or to what to install."""

import importlib.metadata
from pathlib import Path

import pytest

from flagdit_core import modalities
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality, installed_modalities, load_object, modality_of_file, modality_that_reads


def test_the_ending_picks_the_modality(toy_modality: Modality) -> None:
    """Whatever the case of the ending."""
    assert modality_of_file(Path("a.toy")) is toy_modality
    assert modality_of_file(Path("a.b.TOY")) is toy_modality


def test_files_beside_the_artifacts_are_read_and_not_made(toy_modality: Modality) -> None:
    """The ending of a companion leads to who reads its settings, but nobody makes such a file from a sentence."""
    assert modality_that_reads(Path("a.toy")) is modality_that_reads(Path("a.ToyBox")) is toy_modality
    with pytest.raises(ConfigError, match="expected one of"):
        modality_of_file(Path("a.toybox"))
    with pytest.raises(ConfigError, match="made by lumina-audio"):
        modality_that_reads(Path("a.wav"))


def test_an_absent_package_is_named(toy_modality: Modality, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ending of ours whose package is absent says what to install; one that is only a placeholder, to upgrade."""

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ConfigError, match="not installed: pip install lumina-audio"):
        modality_of_file(Path("a.wav"))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.0")
    with pytest.raises(ConfigError, match="pip install --upgrade lumina-audio"):
        modality_of_file(Path("a.wav"))


def test_an_entry_point_that_is_no_modality_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's mistake is named by its entry point."""
    entry = importlib.metadata.EntryPoint(name="smell", value="math:pi", group=modalities.ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [entry])
    installed_modalities.cache_clear()
    try:
        with pytest.raises(ConfigError, match="'smell'"):
            installed_modalities()
    finally:
        installed_modalities.cache_clear()


def test_load_object() -> None:
    """Objects and attributes are found; each kind of wrong path raises; a broken module's own error passes."""
    assert load_object("pathlib:Path.cwd") == Path.cwd
    for path, says in (
        ("pathlib", "form"),
        (":x", "form"),
        ("./recipe.py:train", "form"),
        ("nothing_here.at_all:x", "no module"),
        ("math:tau2", "no 'tau2'"),
    ):
        with pytest.raises(ConfigError, match=says):
            load_object(path)


def test_a_module_that_misses_another_one_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import error inside a user's recipe must not be hidden."""
    (tmp_path / "needs_another.py").write_text("import something_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_there"):
        load_object("needs_another:x")
