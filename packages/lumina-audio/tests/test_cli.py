"""``lumina`` with sounds, in this process and once as the real program."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from flagdit_core.cli import main
from flagdit_core.metadata import fingerprints
from flagdit_core.pipeline.request import GenerationRequest
from lumina_audio import AudioPipeline, Sound, read_sound, save_sound
from lumina_audio.artifacts import read_metadata
from lumina_audio.command import world
from lumina_audio.conditioning import CROSSFADE

PROMPT = "a low bell"
FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}


def _infer(path: Path, saved: Path, *words: str) -> int:
    return main(["infer", PROMPT, "-o", str(path), "--model", str(saved), "--steps", "1", "--seed", "3", *words])


def _sound(path: Path, seconds: float) -> Path:
    """A file to go on from: noise."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 16_000))
    save_sound(Sound.of(samples, sample_rate=16_000), path, {})
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_infer_writes_the_sound(ending: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is of its format, has the length and rate asked for, and what `lumina info` reads makes it again."""
    path = tmp_path / f"a.{ending}"
    assert _infer(path, saved, "--seconds", "0.25") == 0
    info = soundfile.info(path)
    assert (info.format, info.samplerate, info.channels) == (FORMATS[ending], 16_000, 1)
    first = read_sound(path).samples
    assert first.shape == (1, 4000) and first.std() > 1e-3
    capsys.readouterr()
    assert main(["info", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == read_metadata(path)
    assert (told["audio_length_in_s"], told["sample_rate"], len(told["model_sha256"])) == (0.25, 16_000, 64)
    again = [told["prompt"], "-o", str(path), "--model", told["model"], "--seconds", str(told["audio_length_in_s"]),
             "--seed", str(told["seed"]), "--steps", str(told["num_inference_steps"])]  # fmt: skip
    assert main(["infer", *again]) == 0
    assert np.array_equal(read_sound(path).samples, first)


def test_sample_rate(saved: Path, tmp_path: Path) -> None:
    """Another rate gives a file of that rate and of the same duration, whose metadata tell it."""
    path = tmp_path / "a.wav"
    assert _infer(path, saved, "--seconds", "0.25", "--sample-rate", "44100") == 0
    sound = read_sound(path)
    assert (sound.sample_rate, sound.samples.shape) == (44_100, (1, 11_025))
    assert read_metadata(path)["sample_rate"] == 44_100


def test_several_sounds(saved: Path, tmp_path: Path) -> None:
    """Each sound is a file of the model's own duration, and they differ."""
    assert _infer(tmp_path / "a.wav", saved, "--count", "2") == 0
    first, second = (read_sound(tmp_path / f"a-{number}.wav") for number in (1, 2))
    assert first.seconds == second.seconds == 0.5
    assert not np.array_equal(first.samples, second.samples)


def test_spectrogram(saved: Path, tmp_path: Path) -> None:
    """The picture is written beside the sound, with something to see on it."""
    assert _infer(tmp_path / "a.wav", saved, "--spectrogram", str(tmp_path / "a.png")) == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and picture.width > 240 and len(picture.getcolors(1 << 20)) > 100
    told = read_metadata(tmp_path / "a.wav")
    assert told["given_files"] == {} and told == read_metadata(tmp_path / "a.png")


def test_going_on_and_changing_a_span(saved: Path, tmp_path: Path) -> None:
    """What is given is in the file, to 16 bits, but for what was asked to be made."""
    given = _sound(tmp_path / "given.wav", 0.25)
    assert _infer(tmp_path / "longer.wav", saved, "--audio", str(given), "--seconds", "0.4") == 0
    words = ["--audio", str(given), "--span-start", "0.1", "--span-end", "0.15"]
    assert _infer(tmp_path / "changed.wav", saved, *words) == 0
    before, longer, changed = (read_sound(tmp_path / f"{name}.wav").samples for name in ("given", "longer", "changed"))
    assert longer.shape == (1, 6400) and changed.shape == before.shape
    kept = 4000 - round(CROSSFADE * 16_000)
    assert np.array_equal(longer[:, :kept], before[:, :kept])
    assert read_metadata(tmp_path / "longer.wav")["given_files"] == fingerprints({"audio": given})
    differs = np.flatnonzero(changed[0] != before[0])
    assert 1600 <= differs.min() and differs.max() < 2400 and len(differs) > 700


@pytest.mark.parametrize(
    ("ending", "words", "says"),
    [
        ("wav", ["--seconds", "-1"], "audio_length_in_s must be a number of seconds above 0, got -1.0"),
        ("wav", ["--seconds", "0"], "above 0, got 0.0"),
        ("wav", ["--seconds", "nan"], "above 0, got nan"),
        ("wav", ["--seconds", "inf"], "above 0, got inf"),
        ("flac", ["--seconds", "1e9"], "out of memory: 1 sound of 1e+09 s"),
        ("wav", ["--seconds", "6000", "--sample-rate", "384000"], "WAV files hold 4 GiB, got 2304000000 samples"),
        ("wav", ["--seconds", "1e308"], "audio_length_in_s must be a number of seconds above 0, got 1e+308"),
        ("wav", ["--seconds", "long"], "--seconds must be a number, got 'long'"),
        ("mp3", ["--sample-rate", "12345"], "MP3 files hold sample rates of 8000"),
        ("wav", ["--sample-rate", "0"], "WAV files hold sample rates of 1000 to 384000 Hz, got 0 Hz"),
        ("wav", ["--sample-rate", "2147483647"], "got 2147483647 Hz"),
        ("ogg", ["--sample-rate", "300000"], "got 300000 Hz; use .wav"),
        ("wav", ["--negative", "\udcff bell"], "expected a text in UTF-8"),
        ("flac", ["--sample-rate", "-8000"], "got -8000 Hz"),
        ("wav", ["--size", "64x64"], "sounds have no --size; --seconds says"),
        ("wav", ["--audio", "missing.wav"], "there is no file missing.wav"),
        ("wav", ["--span-start", "0.1"], "--span-start and --span-end go together"),
        ("wav", ["--span-start", "0.1", "--span-end", "0.2"], "give both"),
        ("wav", ["--spectrogram", "a.jpg"], "--spectrogram must end in .png, got a.jpg"),
        ("wav", ["--spectrogram", "no/a.png"], "there is no folder no"),
        ("wav", ["--spectrogram", "a.png", "--count", "2"], "--spectrogram is of one of them; leave --count out"),
        ("wav", ["--loudness", "3"], "unknown option --loudness"),
        ("wav", ["--guidance", "nan"], "guidance_scale must be a finite number"),
    ],
)
def test_wrong_input_is_one_line(
    ending: str,
    words: list[str],
    says: str,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One line on stderr, exit code 2, no file: also nothing that a library prints on its own."""
    monkeypatch.chdir(tmp_path)
    assert _infer(Path(f"a.{ending}"), saved, *words) == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("error: ") and says in captured.err
    assert captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_damaged_sound_to_go_on_from(saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is no sound is named."""
    damaged = tmp_path / "damaged.wav"
    damaged.write_text("no sound")
    assert _infer(tmp_path / "a.wav", saved, "--audio", str(damaged)) == 2
    assert "damaged.wav cannot be read as a sound" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == [damaged]


def test_eval_writes_json_and_a_sheet(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sound world's prompts are made and verified; the counts add up; the sheet shows their spectrograms."""
    output, sheet = tmp_path / "eval.json", tmp_path / "sheet.png"
    words = ["--count", "3", "--steps", "1", "--seconds", "1.6", "--output", str(output), "--sheet", str(sheet)]
    assert main(["eval", str(saved), *words]) == 0
    assert "| all captions" in capsys.readouterr().out
    values = json.loads(output.read_text())
    assert set(values["by_category"]) == {"one sound", "sounds in order", "spoken words"}
    assert values["overall"]["total"] == 3 == len(values["samples"])
    with Image.open(sheet) as image:
        assert image.width > 300


def test_prompts_have_room_in_the_sounds_to_be_made(pipe: AudioPipeline) -> None:
    """What is asked for fits into short sounds, the model's own or not; of longer ones no more is asked than usual."""
    request = GenerationRequest(prompts=(), settings=pipe.components.sampling)
    assert world(pipe, request).seconds == pipe.components.defaults["audio_length_in_s"] == 0.5
    for seconds, expected in ((1.6, 1.6), (3.2, 3.2), (6.4, 3.2)):
        assert world(pipe, replace(request, options={"seconds": seconds})).seconds == expected


def test_sounds_too_short_to_be_judged(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are refused before any is made."""
    assert main(["eval", str(saved)]) == 2
    assert "expected 1 to 8 seconds, got 0.5" in capfd.readouterr().err


def test_the_program_itself(saved: Path, tmp_path: Path) -> None:
    """As a process: a sound with exit code 0 and clean stderr, then an error with exit code 2 and one line."""
    script = "import sys; from flagdit_core.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "infer", PROMPT, "--model", str(saved), "--seconds", "0.1", "-o"]
    done = subprocess.run([*command, str(tmp_path / "a.wav")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_sound(tmp_path / "a.wav").samples.shape == (1, 1600)
    done = subprocess.run([*command, str(tmp_path / "no" / "a.wav")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
