"""Sound files of users: what is read, and what damaged ones get."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from flagdit_core.errors import CodecError
from lumina_audio import read_sound
from lumina_audio.artifacts import read_metadata, save_sound
from lumina_audio.sound import Sound

RATE = 16_000
SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("FLOAT", 1e-7), ("DOUBLE", 1e-7)]
)
def test_depths(subtype: str, step: float, tmp_path: Path) -> None:
    """WAV files of every usual depth are read to their own precision, in mono and stereo, at their rate."""
    for channels in (1, 2):
        written = np.stack([SAMPLES, -SAMPLES][:channels], axis=1)
        soundfile.write(tmp_path / "a.wav", written, 44_100, subtype=subtype)
        sound = read_sound(tmp_path / "a.wav")
        assert (sound.sample_rate, sound.num_channels) == (44_100, channels)
        assert np.abs(sound.samples - written.T).max() <= step


def test_floats_past_full_scale_are_turned_down(tmp_path: Path) -> None:
    """The whole gets one gain, and nothing clips."""
    soundfile.write(tmp_path / "hot.wav", 6 * SAMPLES, RATE, subtype="FLOAT")
    read = read_sound(tmp_path / "hot.wav").samples[0]
    assert np.abs(read).max() < 1
    assert np.corrcoef(read, SAMPLES)[0, 1] > 0.9999


@pytest.mark.skipif(sys.platform != "linux", reason="where names of files are not always letters")
def test_names_in_another_encoding(tmp_path: Path) -> None:
    """A sound whose name is not UTF-8 is read, and its name can be told in the settings of what is made from it."""
    path = tmp_path / "caf\udce9.flac"
    save_sound(Sound.of(SAMPLES, sample_rate=RATE), path, {"given": str(path)})
    assert read_sound(path).seconds == 1
    assert read_metadata(path) == {"given": str(path)}


def _damage(path: Path, start: int, content: bytes) -> None:
    """Write over a part of a file."""
    data = bytearray(path.read_bytes())
    data[start : start + len(content)] = content
    path.write_bytes(data)


@pytest.mark.parametrize("rate", [1, 500_000_000])
def test_absurd_rates_are_damage(rate: int, tmp_path: Path) -> None:
    """A header that says 1 Hz, which resampling would make hours of, is refused by name."""
    soundfile.write(tmp_path / "a.wav", SAMPLES, RATE)
    _damage(tmp_path / "a.wav", 24, struct.pack("<I", rate))
    with pytest.raises(CodecError, match=rf"a\.wav is damaged: .* 1000 to 384000 Hz, and it says {rate} Hz"):
        read_sound(tmp_path / "a.wav")


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_halves_are_damage(ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that breaks off is refused by name, also where libsndfile would make do, and nothing is printed."""
    path = tmp_path / f"half.{ending}"
    soundfile.write(path, SAMPLES, RATE)
    assert read_sound(path).seconds == pytest.approx(1, abs=0.05)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CodecError, match=rf"half\.{ending}"):
        read_sound(path)
    assert capfd.readouterr() == ("", "")


def test_wav_files_from_a_pipe_are_whole(tmp_path: Path) -> None:
    """Programs that cannot know the length in time write the largest there is."""
    soundfile.write(tmp_path / "a.wav", SAMPLES, RATE)
    _damage(tmp_path / "a.wav", 4, b"\xff" * 4)
    _damage(tmp_path / "a.wav", 40, b"\xff" * 4)
    assert read_sound(tmp_path / "a.wav").samples.shape == (1, RATE)


def test_garbage_inside_an_mp3_is_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is refused by name, and what the decoder itself prints about it is not seen."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, SAMPLES, RATE)
    _damage(path, 500, bytes(range(256)) * 4)
    with pytest.raises(CodecError, match=r"a\.mp3"):
        read_sound(path)
    assert capfd.readouterr() == ("", "")


def test_more_than_memory_is_damage(tmp_path: Path) -> None:
    """A FLAC header that says 2^36 - 1 samples is refused by name."""
    path = tmp_path / "a.flac"
    soundfile.write(path, SAMPLES, RATE)
    _damage(path, 21, bytes([path.read_bytes()[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF]))
    assert soundfile.info(path).frames == 2**36 - 1
    with pytest.raises(CodecError, match=r"a\.flac is damaged"):
        read_sound(path)


def test_sounds_that_cannot_be_used_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Missing and empty files, texts, too many channels and samples that are no numbers get one line each."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("no sound")
    soundfile.write(tmp_path / "short.wav", SAMPLES[:0], RATE)
    soundfile.write(tmp_path / "three.wav", np.zeros((100, 3)), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "inf.wav", np.full(100, np.inf), RATE, subtype="FLOAT")
    for name, says in (
        ("none.wav", "there is no file"),
        ("empty.wav", "cannot be read as a sound"),
        ("text.mp3", "cannot be read as a sound"),
        ("short.wav", "holds no sound"),
        ("three.wav", "has 3 channels; expected one or two"),
        ("nan.wav", "some of its samples are no numbers"),
        ("inf.wav", "some of its samples are no numbers"),
    ):
        with pytest.raises(CodecError, match=says) as caught:
            read_sound(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
