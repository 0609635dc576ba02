"""``lumina eval``: the table, the JSON file, and which model is meant."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from flagdit_core.cli import main
from flagdit_core.cli.models import find_model
from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.modalities import Modality
from flagdit_core.pipeline.request import Generated, GenerationRequest


def test_table_and_json(toy_modality: Modality, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts by category and check are those of the world, in the table and in the file."""
    output = tmp_path / "eval.json"
    words = [
        "eval",
        "nano",
        "--count",
        "5",
        "--batch-size",
        "2",
        "--steps",
        "1",
        "--size",
        "4x2",
        "--output",
        str(output),
    ]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "| all captions" in table and "|  60.0 |" in table
    values = json.loads(output.read_text())
    assert (values["overall"]["passed"], values["overall"]["total"]) == (3, 5)
    assert values["by_category"]["odd"]["passed"] == 0
    assert values["by_check"]["color"]["rate"] == 1.0
    assert values["size"] == [4, 2]
    assert values["sampling"]["num_inference_steps"] == 1
    assert [sample["seed"] for sample in values["samples"]] == [0, 1, 2, 3, 4]


def test_the_modality_gets_its_own_options(
    toy_modality: Modality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that only the modality knows reaches each of its calls, and the file tells it."""
    toys, seen = sys.modules["toys"], list[object]()
    generate = toys.generate_toys

    def spy(pipeline: object, request: GenerationRequest) -> Generated:
        seen.append(request.options)
        return generate(pipeline, request)

    monkeypatch.setattr(toys, "generate_toys", spy)
    output = tmp_path / "eval.json"
    words = ["--count", "3", "--batch-size", "2", "--steps", "1", "--loops", "7", "--output", str(output)]
    assert main(["eval", "nano", *words]) == 0
    assert seen == [{"loops": 7}] * 2
    assert json.loads(output.read_text())["options"] == {"loops": 7}


def test_what_cannot_be_done_is_refused_early(
    toy_modality: Modality, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No captions, an unwritable file, a sheet where there is none: one line, exit code 2, nothing written."""
    for words, says in (
        (["--count", "0"], "count must be at least 1"),
        (["--output", str(tmp_path / "no" / "a.json")], "there is no folder"),
        (["--sheet", str(tmp_path / "a.png")], "no contact sheet"),
        (["--modality", "smell"], "no modality 'smell'"),
        (["--steps", "0"], "positive integer"),
        (["--loops", "often"], "--loops must be a whole number"),
        (["--frames", "8"], "unknown option --frames (toy models also take --loops, --beside;"),
        (["--beside", "a.toybox"], "--beside is a file of one result"),
        (["--size", "100x2"], "a toy that large cannot be judged"),
    ):
        assert main(["eval", "nano", *words]) == 2
        assert says in capsys.readouterr().err
    assert main(["eval", "--loops", "3", "nano"]) == 2
    assert "expected the model before --loops" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_found_by_name_folder_or_recipe(
    toy_modality: Modality, saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short name, a qualified one, a folder and a recipe that has been run lead to the model."""
    for name in ("nano", "toy/nano", str(saved_model)):
        assert find_model(name) == (toy_modality, saved_model)
    monkeypatch.chdir(tmp_path)
    module = f"evaluated_{tmp_path.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\n"
        "@dataclass(frozen=True)\nclass Settings:\n    output_dir: Path = Path('runs/toy')\n"
        "def recipe(config: Settings) -> Path:\n    return config.output_dir\n"
    )
    with pytest.raises(CheckpointError, match="has not been run"):
        find_model(f"{module}:recipe")
    shutil.copytree(saved_model, "runs/toy/model")
    assert find_model(f"{module}:recipe") == (toy_modality, Path("runs/toy/model"))


def test_a_name_that_two_modalities_ship_is_ambiguous(
    toy_modality: Modality, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models called nano must be told apart, by a qualified name or --modality."""
    other = Modality(name="film", distribution="x", endings=(), pipeline="a:B", generate="a:b", save="a:b",
                     read_metadata="a:b", models={"nano": saved_model})  # fmt: skip
    monkeypatch.setattr("flagdit_core.cli.models.installed_modalities", lambda: {"toy": toy_modality, "film": other})
    with pytest.raises(ConfigError, match="toy/nano, film/nano"):
        find_model("nano")
    assert find_model("film/nano")[0] is other
    assert find_model("nano", "film")[0] is other
