"""``lumina`` with objects, in this process and once as the real program."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from flagdit_core.cli import main
from lumina_3d import EmptyForegroundError, Object3D, ObjectPipeline, Views, consistency, load_views, reconstruct

PROMPT = "a medium blue cone on a large red cube"


def _infer(path: Path, saved: Path, *words: str) -> int:
    return main(["infer", PROMPT, "-o", str(path), "--model", str(saved), "--mesh-resolution", "16",
                 "--steps", "1", "--seed", "3", *words])  # fmt: skip


def _told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What ``lumina info`` says about a file."""
    capsys.readouterr()
    assert main(["info", str(path)]) == 0
    settings: dict[str, object] = json.loads(capsys.readouterr().out)
    return settings


@pytest.mark.parametrize("ending", ["glb", "obj", "ply"])
def test_infer_writes_the_object(ending: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file opens as a coloured, watertight mesh, and what `lumina info` reads makes the same one again."""
    path = tmp_path / f"a.{ending}"
    assert _infer(path, saved, "--size", "48x32", "--views", "5") == 0
    mesh = trimesh.load(path, force="mesh")
    assert mesh.is_watertight
    assert mesh.extents.max() == pytest.approx(1, abs=1e-4) and mesh.bounds[0, 1] == pytest.approx(0, abs=1e-4)
    assert len(np.unique(mesh.visual.vertex_colors, axis=0)) > 10
    first, told = path.read_bytes(), _told(path, capsys)
    assert (told["prompt"], told["seed"], told["num_views"], told["width"]) == (PROMPT, 3, 5, 48)
    assert len(str(told["model_sha256"])) == 64 and 0 < float(str(told["view_agreement"])) < 1
    again = [PROMPT, "-o", str(path), "--model", str(told["model"]), "--views", str(told["num_views"]), "--size",
             f"{told['width']}x{told['height']}", "--seed", str(told["seed"]), "--mesh-resolution", "16",
             "--steps", str(told["num_inference_steps"])]  # fmt: skip
    assert main(["infer", *again]) == 0
    assert path.read_bytes() == first


def test_stl_says_what_it_loses(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """STL is written with a note, refused under --strict, and holds no settings to be told."""
    assert _infer(tmp_path / "a.stl", saved) == 0
    assert "STL files hold neither colours nor settings" in capsys.readouterr().err
    assert trimesh.load(tmp_path / "a.stl").is_watertight
    assert main(["info", str(tmp_path / "a.stl")]) == 2
    assert "STL files hold no settings" in capsys.readouterr().err
    assert _infer(tmp_path / "b.stl", saved, "--strict") == 2
    assert "neither colours nor settings" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.stl"]


def test_every_file_beside_the_object(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Views, points and turntable are what they say, with prompt, seed and hash; the cameras look at the same mesh."""
    names = ("views", "points.ply", "turn.png")
    options = zip(("--views-folder", "--points", "--turntable"), names, strict=True)
    words = [word for option, name in options for word in (option, str(tmp_path / name))]
    assert _infer(tmp_path / "a.glb", saved, *words) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.glb", *names}
    assert load_views(tmp_path / "views").images.shape == (4, 32, 32, 3)
    assert len(trimesh.load(tmp_path / "points.ply").vertices) == 10_000
    with Image.open(tmp_path / "turn.png") as picture:
        assert picture.width == 4 * (256 + 4) + 4
    told = _told(tmp_path / "a.glb", capsys)
    for path in (tmp_path / "points.ply", tmp_path / "turn.png", tmp_path / "views" / "transforms.json"):
        assert _told(path, capsys) == told
    assert {"prompt", "seed", "model", "model_sha256"} <= told.keys()
    mesh = trimesh.load(tmp_path / "a.glb", force="mesh")
    agreement = consistency(load_views(tmp_path / "views"), mesh).mean_silhouette_iou
    assert agreement == pytest.approx(told["view_agreement"], abs=0.01)


def test_several_objects(saved: Path, tmp_path: Path) -> None:
    """Each object is a file of its own, and they differ."""
    assert _infer(tmp_path / "a.ply", saved, "--count", "2") == 0
    first, second = (trimesh.load(tmp_path / f"a-{number}.ply") for number in (1, 2))
    assert first.volume != pytest.approx(second.volume, rel=1e-3)


def test_a_picture_of_the_front(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It changes the object, and the file tells which picture it was."""
    Image.effect_noise((40, 40), 80).convert("RGB").save(tmp_path / "front.png")
    assert _infer(tmp_path / "free.ply", saved) == 0
    assert _infer(tmp_path / "given.ply", saved, "--front", str(tmp_path / "front.png")) == 0
    free, given = (trimesh.load(tmp_path / f"{name}.ply") for name in ("free", "given"))
    assert free.volume != pytest.approx(given.volume, rel=1e-3)
    assert _told(tmp_path / "free.ply", capsys)["given_files"] == {}
    told = _told(tmp_path / "given.ply", capsys)
    assert told["given_files"]["front"]["path"] == str(tmp_path / "front.png")  # type: ignore[index]


def test_views_that_contradict_one_another_are_told(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the views agree too little, a note is printed and in the file; under --strict there is no file."""
    monkeypatch.setattr("lumina_3d.command.LEAST_AGREEMENT", 0.99)
    assert _infer(tmp_path / "a.glb", saved) == 0
    assert "note: the views of object 1 contradict one another" in capsys.readouterr().err
    assert "the views of object 1 contradict one another" in str(_told(tmp_path / "a.glb", capsys)["deviations"])
    assert _infer(tmp_path / "b.glb", saved, "--strict") == 2
    assert "expected 99% or more" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


def test_where_there_is_no_object_the_views_are_kept(
    saved_blank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty views make no mesh: one line says so, where the views are, or how to keep them; nothing else is written."""
    for words, says in ((["--views-folder", str(tmp_path / "views")], "the views are in"), ([], "keeps the views")):
        assert _infer(tmp_path / "a.glb", saved_blank, "--turntable", str(tmp_path / "t.png"), *words) == 1
        error = capsys.readouterr().err
        assert "found nothing before the background in view 0, 1, 2, 3 of 4" in error and says in error
        assert error.startswith("error: ") and error.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["views"]
    assert load_views(tmp_path / "views").images.shape == (4, 32, 32, 3)


def test_one_empty_object_does_not_cost_the_others(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are written; the error names the file that is not there."""
    made = list[Views]()

    def second_is_empty(views: Views, *, resolution: int) -> Object3D:
        made.append(views)
        if len(made) == 2:
            raise EmptyForegroundError("found nothing", views)
        return reconstruct(views, resolution=resolution)

    monkeypatch.setattr("lumina_3d.command.reconstruct", second_is_empty)
    assert _infer(tmp_path / "a.ply", saved, "--count", "3") == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'a-2.ply'} was not made: found nothing\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.ply", "a-3.ply"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--views", "2"], "an object needs 3 views or more, got --views 2"),
        (["--views", "0"], "an object needs 3 views or more, got --views 0"),
        (["--views", "many"], "--views must be a whole number, got 'many'"),
        (["--views", "1000000000000"], "out of memory: 1 object of 1000000000000 views"),
        (["--size", "50x32"], "width must be a multiple of 16, got 50; the nearest are 48 and 64"),
        (["--mesh-resolution", "8"], "--mesh-resolution must be from 16 to 512, got 8"),
        (["--mesh-resolution", "1000"], "--mesh-resolution must be from 16 to 512, got 1000"),
        (["--front", "none.png"], "there is no file none.png"),
        (["--front", "FILE"], "cannot be read as a picture"),
        (["--points", "points.glb"], "--points must end in .ply, got points.glb"),
        (["--points", "no/points.ply"], "there is no folder no"),
        (["--turntable", "turn.avi"], "--turntable must end in .png, .mp4, .webm, .gif, got turn.avi"),
        (["--turntable", "no/turn.mp4"], "there is no folder no"),
        (["--views-folder", "."], "is already there"),
        (["--views-folder", "FILE/views"], "Not a directory"),
        (["--points", "FILE/p.ply"], "there is no folder"),
        (["--points", "p.ply", "--count", "2"], "--points is of one of them; leave --count out"),
        (["--frames", "5"], "unknown option --frames (.glb files also take --views"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], says: str, saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One line on stderr, exit code 2, no file: also nothing that a library prints on its own."""
    monkeypatch.chdir(tmp_path)
    file = str(saved / "model_index.json")
    assert _infer(Path("a.glb"), saved, *(word.replace("FILE", file) for word in words)) == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("error: ") and says in captured.err
    assert captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_eval_writes_json_and_a_sheet(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The object world's prompts are made and verified, views and mesh; the sheet shows an object's views in a row."""
    output, sheet = tmp_path / "eval.json", tmp_path / "sheet.png"
    words = ["--count", "1", "--steps", "1", "--output", str(output), "--sheet", str(sheet)]
    assert main(["eval", str(saved), *words]) == 0
    assert "| all captions" in capsys.readouterr().out
    values = json.loads(output.read_text())
    assert set(values["by_category"]) == {"one object"}
    assert values["overall"]["total"] == 1 == values["by_check"]["views agree"]["total"]
    with Image.open(sheet) as image:
        assert image.size == (4 * 36 + 4, 36 + 4)


def test_views_too_small_to_be_judged(
    saved: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused before any is made."""
    monkeypatch.setattr(ObjectPipeline, "__call__", lambda *_, **__: pytest.fail("sampled"))
    assert main(["eval", str(saved), "--size", "16x32"]) == 2
    assert "pixels or more, got 16x32" in capfd.readouterr().err


def test_eval_judges_empty_views(saved_blank: Path, tmp_path: Path) -> None:
    """Views without an object are failures of the model, not of the evaluation."""
    output = tmp_path / "eval.json"
    assert main(["eval", str(saved_blank), "--count", "2", "--steps", "1", "--output", str(output)]) == 0
    assert json.loads(output.read_text())["overall"]["passed"] == 0


def test_the_program_itself(saved: Path, tmp_path: Path) -> None:
    """As a process: an object with exit code 0 and clean stderr, then an error with exit code 2 and one line."""
    script = "import sys; from flagdit_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "infer", PROMPT, "--model", str(saved), "--seed", "3",
               "--mesh-resolution", "16", "--views", "3", "-o"]  # fmt: skip
    done = subprocess.run([*command, str(tmp_path / "a.glb")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert trimesh.load(tmp_path / "a.glb", force="mesh").is_watertight
    done = subprocess.run([*command, str(tmp_path / "no" / "a.glb")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
