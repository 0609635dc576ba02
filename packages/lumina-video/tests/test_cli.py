"""``lumina`` with films, in this process and once as the real program."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from flagdit_core.cli import main
from flagdit_core.metadata import fingerprints
from lumina_video import Film, VideoPipeline, read_film, save_film
from lumina_video.artifacts import read_metadata

PROMPT = "a red circle moves up"


def _infer(path: Path, saved: Path, *words: str) -> int:
    return main(["infer", PROMPT, "-o", str(path), "--model", str(saved), "--steps", "1", "--seed", "3", *words])


def _film(path: Path, count: int = 5, *, size: tuple[int, int] = (48, 32), fps: float = 10.0) -> Path:
    """A file to go on from."""
    frames = np.random.default_rng(0).integers(0, 256, (count, *size[::-1], 3), dtype=np.uint8)
    save_film(Film(frames=frames, fps=fps), path, {})
    return path


@pytest.mark.parametrize("ending", ["mp4", "gif", "webm"])
def test_infer_writes_the_film(ending: str, saved: Path, tmp_path: Path) -> None:
    """The file opens, has the size, length and rate asked for, and its metadata make the same film again."""
    path = tmp_path / f"a.{ending}"
    assert _infer(path, saved, "--size", "64x32", "--frames", "5", "--fps", "10") == 0
    film = read_film(path)
    first = film.to_numpy()
    assert (first.shape, film.fps) == ((5, 32, 64, 3), 10.0)
    told = read_metadata(path)
    again = [told["prompt"], "-o", str(path), "--model", told["model"], "--size", f"{told['width']}x{told['height']}",
             "--frames", str(told["num_frames"]), "--fps", str(told["fps"]), "--seed", str(told["seed"]),
             "--steps", str(told["num_inference_steps"])]  # fmt: skip
    assert main(["infer", *again]) == 0
    assert np.array_equal(read_film(path).to_numpy(), first)


def test_defaults_and_seconds(saved: Path, tmp_path: Path) -> None:
    """Without options a film is as the model says; seconds are counted at the rate asked for."""
    assert _infer(tmp_path / "a.gif", saved) == 0
    assert _infer(tmp_path / "b.gif", saved, "--seconds", "0.3", "--fps", "20") == 0
    made = [read_film(tmp_path / name) for name in ("a.gif", "b.gif")]
    assert [(len(film.frames), film.fps) for film in made] == [(6, 8.0), (6, 20.0)]


def test_a_sheet_tells_its_settings(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`lumina info` reads from the sheet what the films beside it were made with."""
    words = ["--count", "2", "--contact-sheet", str(tmp_path / "sheet.png")]
    assert _infer(tmp_path / "a.gif", saved, *words) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "sheet.png")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["prompts"], told["seeds"], told["indices"]) == ([PROMPT] * 2, [3, 3], [0, 1])
    assert told == read_metadata(tmp_path / "sheet.png")
    assert told["model_sha256"] == read_metadata(tmp_path / "a-1.gif")["model_sha256"]


def test_several_films_and_a_contact_sheet(saved: Path, tmp_path: Path) -> None:
    """Each film is a file, and the sheet has a row of frames for each."""
    assert _infer(tmp_path / "a.mp4", saved, "--count", "2", "--contact-sheet", str(tmp_path / "sheet.png")) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a-1.mp4", "a-2.mp4", "sheet.png"}
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (6 * 52 + 4, 2 * 36 + 4)
    seen = [read_film(tmp_path / f"a-{number}.mp4").to_numpy() for number in (1, 2)]
    assert not np.array_equal(*seen)


def test_info_reads_a_film(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a film was made with is told, the hash of the weights included."""
    assert _infer(tmp_path / "a.webm", saved) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "a.webm")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["prompt"], told["seed"], told["num_frames"]) == (PROMPT, 3, 6)
    assert len(told["model_sha256"]) == 64


@pytest.mark.parametrize(("words", "given"), [((), 4), (("--overlap", "2"), 2)])
def test_extension_joins(words: tuple[str, ...], given: int, saved: Path, tmp_path: Path) -> None:
    """The file has the old film and then what is new, at the old one's size and rate."""
    before = _film(tmp_path / "before.gif", 5, size=(64, 32))
    assert _infer(tmp_path / "a.gif", saved, "--extend", str(before), *words) == 0
    film = read_film(tmp_path / "a.gif")
    assert (len(film.frames), film.fps) == (5 + 6 - given, 10.0)
    old, new = read_film(before).to_numpy().astype(int), film.to_numpy()
    assert np.abs(new[:5] - old).mean() < 2
    assert read_metadata(tmp_path / "a.gif")["given_frames"] == {"first": given, "last": 0}


def test_a_short_film_is_extended_by_what_it_has(saved: Path, tmp_path: Path) -> None:
    """One frame is enough to go on from."""
    before = _film(tmp_path / "before.gif", 1)
    assert _infer(tmp_path / "a.gif", saved, "--extend", str(before)) == 0
    assert len(read_film(tmp_path / "a.gif").frames) == 6


def test_sound_is_left_out_with_a_note(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sound of a film that is gone on from is not lost silently, and its loss is an error under --strict."""
    before = tmp_path / "before.mp4"
    with av.open(str(before), "w") as container:
        pictures, sound = container.add_stream("libx264", rate=8), container.add_stream("aac", rate=16000)
        pictures.pix_fmt, pictures.width, pictures.height = "yuv420p", 48, 32
        for _ in range(4):
            frame = np.zeros((32, 48, 3), dtype=np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(sound.encode(samples))
        for stream in (pictures, sound):
            container.mux(stream.encode())
    assert _infer(tmp_path / "a.mp4", saved, "--extend", str(before)) == 0
    assert "before.mp4 has sound, which is left out" in capsys.readouterr().err
    assert read_metadata(tmp_path / "a.mp4")["deviations"] == [f"{before} has sound, which is left out"]
    assert _infer(tmp_path / "b.mp4", saved, "--extend", str(before), "--strict") == 2
    assert not (tmp_path / "b.mp4").exists()


def test_a_film_can_be_extended_in_place(saved: Path, tmp_path: Path) -> None:
    """The file that is gone on from may be the one that is written."""
    before = _film(tmp_path / "a.mp4")
    assert _infer(before, saved, "--extend", str(before)) == 0
    assert len(read_film(before).frames) == 5 + 6 - 4


def test_pictures_and_transitions_reach_the_model(saved: Path, tmp_path: Path) -> None:
    """First and last pictures and the next prompt each change the film, and are told in its settings."""
    picture = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    films = {}
    for name, words in {
        "free": [],
        "first": ["--first-frame", str(tmp_path / "p.png")],
        "both": ["--first-frame", str(tmp_path / "p.png"), "--last-frame", str(tmp_path / "p.png")],
        "next": ["--next-prompt", "a blue square turns clockwise"],
    }.items():
        assert _infer(tmp_path / f"{name}.gif", saved, *words) == 0
        films[name] = read_film(tmp_path / f"{name}.gif").to_numpy().tobytes()
    assert len(set(films.values())) == 4
    told = read_metadata(tmp_path / "both.gif")
    assert told["given_frames"] == {"first": 1, "last": 1}
    assert told["given_files"] == fingerprints(dict.fromkeys(("first-frame", "last-frame"), tmp_path / "p.png"))
    assert read_metadata(tmp_path / "free.gif")["given_files"] == {}
    assert read_metadata(tmp_path / "next.gif")["next_prompt"] == "a blue square turns clockwise"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--frames", "0"], "num_frames must be a whole number of at least 1, got 0"),
        (["--frames", "1000000000000"], "out of memory: 1 film of 1000000000000 frames"),
        (["--seconds", "-1"], "--seconds must be a number above 0, got -1"),
        (["--seconds", "nan"], "--seconds must be a number above 0, got nan"),
        (["--seconds", "1e300"], "at most 2147483648 frames, got --seconds 1e+300 at 8 fps"),
        (["--seconds", "inf"], "--seconds must be a number above 0, got inf"),
        (["--frames", "5", "--seconds", "1"], "--frames and --seconds say the same thing"),
        (["--fps", "0"], "0.01 to 240 fps, got 0"),
        (["--fps", "nan"], "0.01 to 240 fps, got nan"),
        (["--fps", "1000"], "0.01 to 240 fps, got 1000"),
        (["--size", "50x32"], "width must be a multiple of 16, got 50; the nearest are 48 and 64"),
        (["--size", "51x32"], "width must be a multiple of 16, got 51; the nearest are 48 and 64"),
        (["--size", "32000x32"], ".mp4 files hold at most 16384 pixels a side, got 32000x32"),
        (["--first-frame", "none.png"], "there is no file none.png"),
        (["--first-frame", "TEXT"], "cannot be read as a picture"),
        (["--last-frame", "TEXT"], "cannot be read as a picture"),
        (["--extend", "none.mp4"], "there is no file none.mp4"),
        (["--extend", "TEXT"], "cannot be read as a film"),
        (["--extend", "FILM", "--overlap", "9"], "expected an overlap of 1 to 5 frames"),
        (["--extend", "FILM", "--frames", "4"], "which leaves none to make"),
        (["--extend", "FILM", "--size", "64x32"], "expected given frames of 64x32 pixels, got 48x32"),
        (["--extend", "FILM", "--first-frame", "PICTURE"], "give image or video"),
        (["--overlap", "2"], "give video too"),
        (["--next-prompt", ""], "needs a next_prompt"),
        (["--next-prompt", "\udcff circle"], "expected a text in UTF-8"),
        (["--negative", "\udcff circle"], "expected a text in UTF-8"),
        (["--contact-sheet", "sheet.jpg"], "--contact-sheet must end in .png, got sheet.jpg"),
        (["--contact-sheet", "no/sheet.png"], "there is no folder no"),
        (["--framez", "5"], "unknown option --framez (.mp4 files also take --frames"),
        (["--frames", "five"], "--frames must be a whole number, got 'five'"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], says: str, saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One line on stderr, exit code 2, no file: also nothing that a library prints on its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("neither picture nor film")
    Image.new("RGB", (48, 32)).save(tmp_path / "picture.png")
    files = {"TEXT": "text", "PICTURE": "picture.png", "FILM": str(_film(tmp_path / "film.mp4"))}
    before = {path.name for path in tmp_path.iterdir()}
    assert _infer(Path("a.mp4"), saved, *(files.get(word, word) for word in words)) == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("error: ") and says in captured.err
    assert captured.err.count("\n") == 1 and captured.out == ""
    assert {path.name for path in tmp_path.iterdir()} == before


def test_eval_writes_json_and_a_sheet(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The film world's prompts are made and verified; the counts add up; the sheet shows a film in each row."""
    output, sheet, model = tmp_path / "eval.json", tmp_path / "sheet.png", tmp_path / "model"
    shutil.copytree(saved, model)
    index = json.loads((model / "model_index.json").read_text())
    index["defaults"]["num_frames"] = 7  # the shortest that the verifier can judge
    (model / "model_index.json").write_text(json.dumps(index))
    words = ["--count", "3", "--steps", "1", "--output", str(output), "--sheet", str(sheet)]
    assert main(["eval", str(model), *words]) == 0
    assert "| all captions" in capsys.readouterr().out
    values = json.loads(output.read_text())
    assert values["overall"]["total"] == 3 == sum(rate["total"] for rate in values["by_category"].values())
    with Image.open(sheet) as image:
        assert image.size == (7 * 52 + 4, 3 * 36 + 4)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--frames", "6"], "a film of at least 7 frames, got 6"),
        (["--seconds", "0.5", "--fps", "12"], "a film of at least 7 frames, got 6"),
        ([], "a film of at least 7 frames, got 6"),
        (["--frames", "8", "--size", "32x16"], "sides of 32 pixels or more, got 32x16"),
    ],
)
def test_films_that_cannot_be_judged(
    saved: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    """Too short or too small, asked for or by default: refused before any is made."""
    monkeypatch.setattr(VideoPipeline, "__call__", lambda *_, **__: pytest.fail("sampled"))
    assert main(["eval", str(saved), *words]) == 2
    assert says in capfd.readouterr().err


def test_the_program_itself(saved: Path, tmp_path: Path) -> None:
    """As a process: a film with exit code 0 and clean stderr, then an error with exit code 2 and one line."""
    script = "import sys; from flagdit_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "infer", PROMPT, "--model", str(saved), "-o"]
    done = subprocess.run([*command, str(tmp_path / "a.mp4")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].frames == 6
    done = subprocess.run([*command, str(tmp_path / "no" / "a.mp4")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
