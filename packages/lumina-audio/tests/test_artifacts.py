"""Sound files carry their settings, hold the right sound, and appear whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from flagdit_core.errors import CodecError, ConfigError, OutputError, ShapeError
from lumina_audio import Sound, read_sound, save_sound
from lumina_audio.artifacts import check_sound_file, read_metadata

SETTINGS = {"prompt": 'ein hoher Ton "☃"\n' + "long " * 2000, "seed": 2**63, "guidance_scale": 4.0, "list": [1, None]}


@pytest.fixture
def sound() -> Sound:
    """Half a second of a chord, which lossy formats keep well."""
    time = np.arange(8000) / 16_000
    chord = sum(0.2 * np.sin(2 * np.pi * frequency * time) for frequency in (220.0, 330.0, 550.0))
    return Sound.of(chord, sample_rate=16_000)


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "A.WAV"])
def test_round_trip(name: str, stereo: bool, sound: Sound, tmp_path: Path) -> None:
    """The file is of the format that its ending says, with the sound and all settings in it, however long."""
    path = tmp_path / name
    written = sound.stereo() if stereo else sound
    save_sound(written, path, SETTINGS)
    assert read_metadata(path) == SETTINGS
    assert soundfile.info(path).format == {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}[name[2:].lower()]
    read = read_sound(path)
    assert read.sample_rate == 16_000
    assert read.samples.shape == written.samples.shape
    error = np.sqrt(np.mean((read.samples - written.samples)[:, 1000:-1000] ** 2))
    assert error < (2e-5 if path.suffix.lower() in (".wav", ".flac") else 0.02)
    assert [child.name for child in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.flac", "a.ogg"])
def test_other_players_show_the_prompt(name: str, sound: Sound, tmp_path: Path) -> None:
    """The prompt is the title, where the container's tags are Unicode."""
    save_sound(sound, tmp_path / name, {"prompt": "ein grüner Ton"})
    with soundfile.SoundFile(tmp_path / name) as file:
        assert file.title == "ein grüner Ton"


def test_wav_comment_is_a_proper_riff_list(sound: Sound, tmp_path: Path) -> None:
    """The file's length fields add up, so that every reader finds sound and comment."""
    save_sound(sound, tmp_path / "a.wav", {"seed": 7})
    data = (tmp_path / "a.wav").read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert b"ICMT" in data
    assert soundfile.info(tmp_path / "a.wav").frames == sound.samples.shape[1]


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
def test_a_failed_write_keeps_the_old_sound(
    name: str, sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle leaves the old file whole, and nothing beside it."""
    save_sound(sound, tmp_path / name, SETTINGS)
    old = (tmp_path / name).read_bytes()
    write = Path.write_bytes

    def fill_up(self: Path, data: bytes) -> int:
        write(self, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OutputError, match="No space left"):
        save_sound(sound, tmp_path / name, SETTINGS)
    assert (tmp_path / name).read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "rate", "advice"),
    [
        ("a.mp3", 96_000, "; use .wav"),
        ("a.mp3", 16_001, "; use .wav"),
        ("a.ogg", 384_000, "; use .wav"),
        ("a.flac", 700_000, ""),
        ("a.mp3", 999, ""),
        ("a.wav", 0, ""),
        ("a.wav", 2**31 - 1, ""),
    ],
)
def test_sample_rates_that_a_format_cannot_hold(name: str, rate: int, advice: str, tmp_path: Path) -> None:
    """They are refused before any work, with those that it can hold, and with .wav only where that helps."""
    with pytest.raises(ConfigError, match=f"hold sample rates of .* got {rate} Hz{advice}$"):
        check_sound_file(tmp_path / name, sample_rate=rate)


def test_sounds_too_long_for_wav(tmp_path: Path) -> None:
    """More than 4 GiB do not fit into a WAV file, but into FLAC."""
    with pytest.raises(ShapeError, match="4 GiB"):
        check_sound_file(tmp_path / "a.wav", sample_rate=48_000, num_samples=2**31)
    check_sound_file(tmp_path / "a.flac", sample_rate=48_000, num_samples=2**31)


def test_unknown_endings_list_the_known_ones(sound: Sound, tmp_path: Path) -> None:
    """A wrong ending is refused before anything is written."""
    with pytest.raises(ConfigError, match=r"\.wav, \.flac, \.ogg, \.mp3"):
        save_sound(sound, tmp_path / "a.aiff", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_files_without_settings_are_named(sound: Sound, tmp_path: Path) -> None:
    """A missing file, a text file, a truncated header and foreign sounds raise one line each."""
    for name in ("foreign.wav", "foreign.flac"):
        soundfile.write(tmp_path / name, sound.samples.T, sound.sample_rate)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "short.wav").write_bytes(b"RIFF\x00\x00")
    for name, says in (
        ("none.wav", "there is no file"),
        ("text.wav", "cannot be read"),
        ("short.wav", "cannot be read"),
        ("foreign.wav", "carries no settings"),
        ("foreign.flac", "carries no settings"),
    ):
        with pytest.raises(CodecError, match=says):
            read_metadata(tmp_path / name)
