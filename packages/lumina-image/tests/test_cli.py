"""``lumina`` with pictures, in this process and once as the real program."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flagdit_core.cli import main
from flagdit_core.pipeline.request import GenerationRequest
from lumina_image import ImagePipeline
from lumina_image.artifacts import read_metadata
from lumina_image.command import world


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_infer_writes_the_picture(ending: str, saved: Path, tmp_path: Path) -> None:
    """The file opens, has the size asked for (width first), and its metadata make the same picture again."""
    path = tmp_path / f"a.{ending}"
    words = ["--model", str(saved), "--size", "64x32", "--seed", "3", "--steps", "2"]
    assert main(["infer", "a red circle", "-o", str(path), *words]) == 0
    with Image.open(path) as image:
        assert image.size == (64, 32)
        first = np.array(image)
    told = read_metadata(path)
    again = [told["prompt"], "-o", str(path), "--model", told["model"], "--size", f"{told['width']}x{told['height']}",
             "--seed", str(told["seed"]), "--steps", str(told["num_inference_steps"])]  # fmt: skip
    assert main(["infer", *again]) == 0
    with Image.open(path) as image:
        assert np.array_equal(np.array(image), first)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--size", "100x64"], "width must be a multiple of 16, got 100; the nearest are 96 and 112"),
        (["--size", "1000000x1000000"], "1 picture of 1000000x1000000"),
        (["--guidance", "nan"], "guidance_scale must be a finite number"),
        (["--steps", "-1"], "num_inference_steps"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], says: str, saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, exit code 2, no file: also nothing that a library prints on its own."""
    assert main(["infer", "a red circle", "-o", str(tmp_path / "a.png"), "--model", str(saved), *words]) == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("error: ") and says in captured.err
    assert captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_format_cannot_hold(saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A WebP too wide is refused before sampling."""
    assert main(["infer", "a", "-o", str(tmp_path / "a.webp"), "--model", str(saved), "--size", "32000x16"]) == 2
    assert "16383" in capfd.readouterr().err


def test_eval_writes_json_and_a_sheet(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture world's prompts are drawn and verified; the counts add up; the sheet shows them."""
    output, sheet = tmp_path / "eval.json", tmp_path / "sheet.png"
    words = ["--count", "6", "--steps", "1", "--output", str(output), "--sheet", str(sheet)]
    assert main(["eval", str(saved), *words]) == 0
    assert "| all captions" in capsys.readouterr().out
    values = json.loads(output.read_text())
    assert values["overall"]["total"] == 6 == sum(rate["total"] for rate in values["by_category"].values())
    assert len(values["samples"]) == 6
    with Image.open(sheet) as image:
        assert image.width > 48 and image.height >= 32


def test_pictures_too_small_to_be_judged(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are refused before any is made."""
    assert main(["eval", str(saved), "--size", "32x16"]) == 2
    captured = capfd.readouterr()
    assert captured.err == "error: expected sides of 32 pixels or more, got 32x16\n" and captured.out == ""


def test_prompts_have_room_in_the_models_own_pictures(pipe: ImagePipeline) -> None:
    """Without --size the world is that of the model's shape; with it, of that one."""
    request = GenerationRequest(prompts=(), settings=pipe.components.sampling)
    assert world(pipe, request).aspect == 48 / 32
    assert world(pipe, replace(request, size=(32, 64))).aspect == 0.5


def test_the_program_itself(saved: Path, tmp_path: Path) -> None:
    """As a process: a picture with exit code 0 and clean stderr, then an error with exit code 2 and one line."""
    script = "import sys; from flagdit_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "infer", "a red circle", "--model", str(saved), "-o"]
    done = subprocess.run([*command, str(tmp_path / "a.png")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (48, 32)
    done = subprocess.run([*command, str(tmp_path / "no" / "a.png")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
