"""What a user calls a model leads to a folder, or to one line that says why not."""

from pathlib import Path

import huggingface_hub
import pytest

from flagdit_core.errors import CheckpointError
from flagdit_core.pipeline import resolve_model


def test_shipped_name_comes_first(tmp_path: Path) -> None:
    """A short name leads to the packaged folder."""
    assert resolve_model("nano", {"nano": tmp_path}) == tmp_path


def test_a_local_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """Strings and paths both do."""
    assert resolve_model(str(tmp_path), {}) == tmp_path
    assert resolve_model(tmp_path, {}) == tmp_path


@pytest.mark.parametrize(
    "name", ["./nothing", "/nothing/here", "a/b/c", "~/nothing/at/all", "models/", "C:\\models\\x", ""]
)
def test_what_looks_like_a_path_never_asks_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped path must not become a network request."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(CheckpointError, match="there is no model folder"):
        resolve_model(name, {})


def test_a_missing_child_of_a_present_folder_never_asks_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name runs/model is a path if runs/ is there, though it has the form of a hub id."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(CheckpointError, match="there is no model folder"):
        resolve_model("runs/model", {})


def test_unknown_short_name_lists_the_shipped_ones(tmp_path: Path) -> None:
    """A misspelt short name shows the right ones."""
    with pytest.raises(CheckpointError, match=r"unknown model 'nanu'.*\(nano\)"):
        resolve_model("nanu", {"nano": tmp_path})


def test_a_missing_shipped_model_says_so(tmp_path: Path) -> None:
    """An installation without its model folder is named as such."""
    with pytest.raises(CheckpointError, match="not part of this installation"):
        resolve_model("nano", {"nano": tmp_path / "gone"})


def test_a_file_is_no_model(tmp_path: Path) -> None:
    """A path to a file is refused."""
    (tmp_path / "weights.pth").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        resolve_model(str(tmp_path / "weights.pth"), {})


@pytest.mark.parametrize("name", ["~nobody-of-this-name/model", 300 * "m"])
def test_what_can_be_no_folder_is_one_line(name: str) -> None:
    """A home that is not there, and a name that is too long."""
    with pytest.raises(CheckpointError, match="cannot be the name of a model folder"):
        resolve_model(name, {})


def test_hub_ids_are_fetched_without_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """owner/name goes to the hub client, whose patterns let no pickle through."""
    asked = {}

    def download(hub_id: str, *, allow_patterns: list[str]) -> str:
        asked[hub_id] = allow_patterns
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_model("someone/some-model", {}) == tmp_path
    patterns = asked["someone/some-model"]
    assert not any(pattern.endswith((".bin", ".pt", ".pth", "*")) for pattern in patterns)


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the client raises becomes one line of ours."""

    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match="no route") as caught:
        resolve_model("someone/some-model", {})
    assert "\n" not in str(caught.value)
