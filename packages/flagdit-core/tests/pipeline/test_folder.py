"""A damaged model folder says in one line what is wrong with it, before anything is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flagdit_core.errors import CheckpointError, OutputError
from flagdit_core.pipeline import Components, check_folder, load_components, read_model_index, resolve_model
from flagdit_core.pipeline.folder import component_names, read_header

WEIGHTS = Path("transformer/diffusion_pytorch_model.safetensors")
LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12345\n"


def _truncate(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-100])


def _lengthen(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"more")


def _cut_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:20])


def _empty(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def _point(folder: Path) -> None:
    (folder / WEIGHTS).write_text(LFS_POINTER)


def _point_tokenizer(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").write_text(LFS_POINTER)


def _pickle(folder: Path) -> None:
    (folder / WEIGHTS).rename((folder / WEIGHTS).with_suffix(".bin"))


def _lose_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _lose_component(folder: Path) -> None:
    shutil.rmtree(folder / "vae")


def _lose_config(folder: Path) -> None:
    (folder / "transformer" / "config.json").unlink()


def _lose_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def _break_index(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": ')


def _lose_settings(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    del index["text_encoding"]
    (folder / "model_index.json").write_text(json.dumps(index))


def _spoil_settings(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["sampling"] = [1, 2]
    (folder / "model_index.json").write_text(json.dumps(index))


def _lose_shard(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"a": "diffusion_pytorch_model.safetensors", "b": "shard-2.safetensors"}}
    (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


def _garble(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"PK\x03\x04 this is a zip file, not tensors" * 10)


def _load(folder: Path, codec: object) -> Components:
    return load_components(folder, class_name="ToyPipeline", load_codec=lambda _, dtype: codec)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_truncate, "truncated"),
        (_cut_header, "truncated"),
        (_empty, "truncated"),
        (_point, "git-lfs pointer"),
        (_point_tokenizer, "git-lfs pointer"),
        (_pickle, "pickle"),
        (_lose_weights, "no *.safetensors"),
        (_lose_component, "vae/, which is missing"),
        (_lose_config, "config.json is missing"),
        (_lose_index, "model_index.json is missing"),
        (_break_index, "not JSON"),
        (_lose_settings, "text_encoding"),
        (_spoil_settings, "sampling"),
        (_lose_shard, "shard-2.safetensors is missing"),
        (_garble, "not a safetensors file"),
    ],
)
def test_damage_is_named_in_one_line(
    damage: Callable[[Path], None], says: str, saved_model: Path, components: Components, tmp_path: Path
) -> None:
    """Every kind of damage raises CheckpointError with one line that names it."""
    folder = Path(shutil.copytree(saved_model, tmp_path / "damaged"))
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        _load(folder, components.codec)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage", [_truncate, _lengthen, _cut_header, _point, _point_tokenizer, _pickle, _lose_component]
)
def test_damage_is_found_without_loading(damage: Callable[[Path], None], saved_model: Path, tmp_path: Path) -> None:
    """The check before loading finds it by itself, so that no other library meets the damaged file."""
    folder = Path(shutil.copytree(saved_model, tmp_path / "damaged"))
    damage(folder)
    with pytest.raises(CheckpointError):
        check_folder(folder, read_model_index(folder))


def test_a_whole_folder_passes(saved_model: Path) -> None:
    """The checks do not cry wolf."""
    index = read_model_index(saved_model, class_name="ToyPipeline")
    assert component_names(index) == ["text_encoder", "tokenizer", "transformer", "vae"]
    check_folder(saved_model, index)


def test_missing_folder_and_other_modality(saved_model: Path, tmp_path: Path) -> None:
    """A folder that is not there, and one of another pipeline, are told apart."""
    with pytest.raises(CheckpointError, match="there is no model folder"):
        read_model_index(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="holds the pipeline ToyPipeline, expected FilmPipeline"):
        read_model_index(saved_model, class_name="FilmPipeline")


def test_header_counts_parameters(saved_model: Path, components: Components) -> None:
    """The header alone tells every tensor's shape."""
    header = read_header(saved_model / WEIGHTS)
    assert {name: list(tensor.shape) for name, tensor in components.model.state_dict().items()} == {
        name: entry["shape"] for name, entry in header.items()
    }


def test_saving_never_overwrites(saved_model: Path, components: Components) -> None:
    """A second save to the same folder raises and leaves the folder as it was."""
    before = {path: path.stat().st_mtime_ns for path in saved_model.rglob("*")}
    with pytest.raises(OutputError, match="already there"):
        components.save_pretrained(saved_model, class_name="ToyPipeline")
    assert before == {path: path.stat().st_mtime_ns for path in saved_model.rglob("*")}


def test_a_home_is_the_same_for_saving_and_loading(
    components: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is saved under "~" is found there again."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # what Windows calls it
    components.save_pretrained("~/model", class_name="ToyPipeline")
    assert resolve_model("~/model", {}) == tmp_path / "model"


def test_a_failed_save_leaves_nothing(components: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a part cannot be written, neither the folder nor a temporary one is left."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(components.codec), "save_pretrained", fail)
    with pytest.raises(OutputError, match="No space left"):
        components.save_pretrained(tmp_path / "model", class_name="ToyPipeline")
    assert list(tmp_path.iterdir()) == []
