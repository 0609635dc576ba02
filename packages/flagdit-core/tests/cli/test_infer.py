"""``lumina infer`` on a made-up modality: what it writes, and what stops it before anything is written."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flagdit_core.cli import main
from flagdit_core.cli.infer import numbered_paths, parse_size
from flagdit_core.errors import ConfigError, FlagDiTError, ShapeError
from flagdit_core.modalities import Modality
from flagdit_core.pipeline.request import Generated, GenerationRequest

Run = Callable[..., int]


@pytest.fixture
def infer(toy_modality: Modality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``lumina infer`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["infer", *words])


def test_writes_the_file_with_its_settings(infer: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is there, holds what made it, and the seed is told."""
    assert infer("a ring", "-o", "a.toy", "--steps", "2", "--guidance", "3", "--solver", "heun", "--size", "4x8",
                 "--seed", "11", "--negative", "red", "--set", "time_shift=2") == 0  # fmt: skip
    written = json.loads(Path("a.toy").read_text())
    told = written["metadata"]
    assert len(written["numbers"]) == 4 * 8 * 4
    asked = {"prompt": "a ring", "negative_prompt": "red", "seed": 11, "index": 0, "num_inference_steps": 2,
             "guidance_scale": 3.0, "solver": "heun", "time_shift": 2.0, "model": "nano"}  # fmt: skip
    assert asked.items() <= told.items()
    assert len(told["model_sha256"]) == 64
    output = capsys.readouterr().out
    assert "a.toy" in output and "seed 11" in output


def test_same_seed_same_file_and_count_is_reproducible_alone(infer: Run) -> None:
    """Number 3 of 3 equals the one made alone with --first 2."""
    assert infer("a ring", "-o", "a.toy", "--seed", "5", "--count", "3") == 0
    assert infer("a ring", "-o", "b.toy", "--seed", "5", "--first", "2") == 0
    assert sorted(path.name for path in Path().iterdir()) == ["a-1.toy", "a-2.toy", "a-3.toy", "b.toy"]
    numbers = [json.loads(Path(f"a-{n}.toy").read_text())["numbers"] for n in (1, 2, 3)]
    assert json.loads(Path("b.toy").read_text())["numbers"] == pytest.approx(numbers[2], abs=1e-4)
    assert numbers[0] != pytest.approx(numbers[2], abs=1e-2)


def test_dropped_tokens_are_told_and_strict_forbids_them(infer: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What is dropped is told as a note, unless --strict makes it an error."""
    long_prompt = "circle " * 50
    assert infer(long_prompt, "-o", "a.toy") == 0
    assert "note: prompt 'circle circle" in capsys.readouterr().err
    Path("a.toy").unlink()
    assert infer(long_prompt, "-o", "a.toy", "--strict") == 2
    assert capsys.readouterr().err.startswith("error: strict: prompt")
    assert not Path("a.toy").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["", "-o", "a.toy"], "prompt is empty"),
        ([" \n", "-o", "a.toy"], "prompt is empty"),
        (["--loops", "3", "a", "-o", "a.toy"], "expected the prompt before --loops"),
        (["--loops=3", "a", "-o", "a.toy"], "expected the prompt before --loops=3"),
        (["a", "-o", "a.xyz"], "expected one of .toy"),
        (["a", "-o", "a"], "no file ending"),
        (["a", "-o", "a.mp4"], "lumina-video"),
        (["a", "-o", "no/a.toy"], "there is no folder"),
        (["a", "-o", "/proc/a.toy"], "cannot write"),
        (["a", "-o", "a.toy", "--size", "12"], "WIDTHxHEIGHT"),
        (["a", "-o", "a.toy", "--size", "-4x4"], "WIDTHxHEIGHT"),
        (["a", "-o", "a.toy", "--size", "3x4"], "divisible"),
        (["a", "-o", "a.toy", "--size", "2000000x2000000"], "out of memory"),
        (["a", "-o", "a.toy", "--steps", "0"], "positive integer"),
        (["a", "-o", "a.toy", "--steps", "-2"], "positive integer"),
        (["a", "-o", "a.toy", "--guidance", "nan"], "finite"),
        (["a", "-o", "a.toy", "--solver", "magic"], "the solvers are euler"),
        (["a", "-o", "a.toy", "--seed", "-1"], "seed"),
        (["a", "-o", "a.toy", "--count", "0"], "--count"),
        (["a", "-o", "a.toy", "--set", "nonsense=1"], "no field 'nonsense'"),
        (["a", "-o", "a.toy", "--model", "./none"], "there is no model folder"),
        (["a", "-o", "a.toy", "--model", "nanu"], "unknown model"),
        (["a", "-o", "a.toy", "--dtype", "int8"], "dtype must be one of"),
        (["a", "-o", "a.toy", "--device", "abacus"], "device must be cpu"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    words: list[str], says: str, infer: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake gives one line with exit code 2, and the folder stays empty."""
    assert infer(*words) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert captured.out == ""
    assert list(Path().iterdir()) == []


def test_one_of_several_that_cannot_be_made(
    infer: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are written, and the error names it."""
    generate = sys.modules["toys"].generate_toys

    def spoilt(pipeline: object, request: GenerationRequest) -> Generated:
        made = generate(pipeline, request)
        return replace(made, artifacts=[made.artifacts[0], FlagDiTError("it broke"), made.artifacts[2]])

    monkeypatch.setattr(sys.modules["toys"], "generate_toys", spoilt)
    assert infer("a ring", "-o", "a.toy", "--count", "3") == 1
    assert capsys.readouterr().err == "error: a-2.toy was not made: it broke\n"
    assert sorted(path.name for path in Path().iterdir()) == ["a-1.toy", "a-3.toy"]


def test_a_sentence_may_begin_with_dashes(infer: Run) -> None:
    """Only what is spelled as an option is taken for one."""
    assert infer("-o", "a.toy", "--steps", "1", "--", "-- a ring") == 0


def test_an_error_keeps_the_file_that_was_there(infer: Run) -> None:
    """A failed run does not touch an older file of that name; a good one replaces it."""
    Path("a.toy").write_text("old")
    assert infer("a", "-o", "a.toy", "--steps", "0") == 2
    assert Path("a.toy").read_text() == "old"
    assert infer("a", "-o", "a.toy") == 0
    assert json.loads(Path("a.toy").read_text())["metadata"]["prompt"] == "a"


def test_model_of_another_modality(infer: Run, saved_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of another pipeline class is refused by name."""
    shutil.copytree(saved_model, "other")
    index = Path("other/model_index.json")
    index.write_text(index.read_text().replace("ToyPipeline", "FilmPipeline"))
    assert infer("a", "-o", "a.toy", "--model", "other") == 2
    assert "holds the pipeline FilmPipeline, expected ToyPipeline" in capsys.readouterr().err


def test_numbered_paths_have_equal_digits() -> None:
    """Files sort in the order of their numbers."""
    paths = numbered_paths(Path("x/out.v1.png"), 10)
    assert [str(paths[0]), str(paths[9])] == ["x/out.v1-01.png", "x/out.v1-10.png"]
    with pytest.raises(ConfigError):
        numbered_paths(Path("out.png"), -1)


def test_parse_size() -> None:
    """Width comes first; anything but WIDTHxHEIGHT raises."""
    assert parse_size("192x128") == (192, 128)
    assert parse_size("192X128") == (192, 128)
    assert parse_size(None) is None
    for text in ("", "x", "1x", "1x2x3", "1.5x2", "axb", "1 x 2"):
        with pytest.raises(ShapeError):
            parse_size(text)
