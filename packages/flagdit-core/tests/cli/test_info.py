"""``lumina info`` says what is installed, what a model is and what a file was made with."""

import json
import shutil
from pathlib import Path

import pytest

from flagdit_core.cli import main
from flagdit_core.modalities import Modality
from flagdit_core.pipeline import Components


def test_installation(toy_modality: Modality, capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, modalities with their endings, and a reason for each kernel."""
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    assert "flagdit-core 0." in output and "toy: .toy" in output and "models: nano" in output
    assert "  attention: reference (" in output


def test_model(
    toy_modality: Modality, saved_model: Path, components: Components, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each component with its number of parameters."""
    assert main(["info", str(saved_model)]) == 0
    output = capsys.readouterr().out
    count = sum(parameter.numel() for parameter in components.model.parameters())
    assert f"transformer: FlagDiT, {count:,} parameters" in output
    assert "no model card" in output


def test_a_folder_with_a_colon_is_no_recipe(
    toy_modality: Modality, saved_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path such as those that begin with a drive is a model's folder, not module:function."""
    shutil.copytree(saved_model, tmp_path / "run:3")
    assert main(["info", str(tmp_path / "run:3")]) == 0
    assert "run:3: ToyPipeline (toy)" in capsys.readouterr().out


def test_file(toy_modality: Modality, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file tells the settings that it carries; a missing one is named."""
    path = tmp_path / "a.toy"
    assert main(["infer", "a ring", "-o", str(path), "--seed", "4"]) == 0
    capsys.readouterr()
    assert main(["info", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 4
    path.rename(tmp_path / "a.toybox")
    assert main(["info", str(tmp_path / "a.toybox")]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 4
    assert main(["info", str(tmp_path / "b.toy")]) == 2
    assert "there is no file" in capsys.readouterr().err
