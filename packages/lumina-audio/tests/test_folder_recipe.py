"""Training on a folder of sounds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flagdit_core.cli import main
from flagdit_core.errors import ConfigError, DataError
from lumina_audio import AudioPipeline, Sound, save_sound
from lumina_audio.mel_codec import MelCodec
from lumina_audio.recipes.folder import FolderRecipe, folder, read_samples
from lumina_audio.waveform_codec import WaveformCodec


def _tone(path: Path, *, seconds: float, sample_rate: int = 16_000, channels: int = 1) -> Sound:
    """A file with half a kilohertz in every channel."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    sound = Sound.of(np.tile(0.5 * np.sin(1000 * np.pi * time), (channels, 1)), sample_rate=sample_rate)
    save_sound(sound, path, {})
    return sound


def test_samples_are_what_the_codec_takes(mel_codec: MelCodec, waveform_codec: WaveformCodec, tmp_path: Path) -> None:
    """Rate and channels become the codec's, silence fills the end, and of long sounds the beginning is taken."""
    kept = _tone(tmp_path / "a.wav", seconds=0.2)
    samples = read_samples(tmp_path / "a.wav", mel_codec, max_seconds=1.0)
    assert samples.shape == (1, 4096) and samples.dtype == torch.float32
    assert np.abs(samples[:, :3200].numpy() - kept.samples).max() < 1e-4 and not samples[:, 3200:].any()
    assert torch.equal(read_samples(tmp_path / "a.wav", mel_codec, max_seconds=0.064), samples[:, :1024])
    _tone(tmp_path / "b.flac", seconds=0.1, sample_rate=44_100, channels=2)
    mono = read_samples(tmp_path / "b.flac", mel_codec, max_seconds=1.0)
    crossings = torch.diff(torch.sign(mono[0, 200:1400])).count_nonzero()
    assert mono.shape == (1, 2048) and abs(int(crossings) - 75) <= 1  # of 500 Hz in 75 ms
    stereo = read_samples(tmp_path / "a.wav", waveform_codec, max_seconds=1.0)
    assert stereo.shape == (2, 1600) and torch.equal(stereo[0], stereo[1])


def test_folder_recipe(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command trains on sounds of every format, two files damaged and left out, into a model of other sounds."""
    data = tmp_path / "data"
    data.mkdir()
    seconds = {"a.wav": 0.3, "b.flac": 0.2, "c.ogg": 0.5, "d.mp3": 0.4}
    for name, length in seconds.items():
        _tone(data / name, seconds=length)
    (data / "e.wav").write_text("no sound")
    (data / "f.flac").write_bytes((data / "b.flac").read_bytes()[:900])
    names = [*seconds, "e.wav", "f.flac"]
    (data / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": n, "text": f"tone {n}"}) for n in names))
    settings = {
        "data": data, "model": saved, "on_error": "skip", "max_seconds": 0.25, "training.num_steps": 2,
        "training.batch_size": 6, "training.learning_rate": 1e-2, "training.warmup_steps": 0,
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    assert main(["train", "lumina_audio.recipes:folder", *words, "--output", str(tmp_path / "run")]) == 0
    assert str(tmp_path / "run" / "model") in capsys.readouterr().out
    made = [AudioPipeline.from_pretrained(name)("a bell", seed=1).latents for name in (saved, tmp_path / "run/model")]
    assert made[0].shape == made[1].shape and not torch.equal(*made)
    strict = FolderRecipe(data=data, model=str(saved), output_dir=tmp_path / "strict")
    with pytest.raises(DataError, match=r"e\.wav|f\.flac"):
        folder(replace(strict, training=replace(strict.training, num_steps=1, batch_size=6)))


@pytest.mark.usefixtures("fake_espeak")
def test_captions_are_in_the_models_spelling(pipe: AudioPipeline, tmp_path: Path) -> None:
    """A model of phonemes learns from a text what one of letters learns from its phonemes."""
    made = {}
    for spelling, said in (("phonemes", "no"), ("characters", "ab"), ("characters", "no")):
        data = tmp_path / f"{spelling}-{said}"
        data.mkdir()
        _tone(data / "a.wav", seconds=0.2)
        (data / "metadata.jsonl").write_text(json.dumps({"file_name": "a.wav", "text": f'a voice says "{said}"'}))
        start = replace(pipe.components, defaults={**pipe.components.defaults, "spelling": spelling})
        AudioPipeline(start).save_pretrained(data / "start")
        config = FolderRecipe(data=data, model=str(data / "start"), output_dir=data / "run")
        training = replace(config.training, num_steps=2, batch_size=1, learning_rate=1e-2, warmup_steps=0)
        trained = AudioPipeline.from_pretrained(folder(replace(config, training=training)))
        assert trained.spelling == spelling
        made[spelling, said] = trained("a bell", seed=1).latents
    assert torch.equal(made["phonemes", "no"], made["characters", "ab"])
    assert not torch.equal(made["phonemes", "no"], made["characters", "no"])


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_lengths_that_no_sound_has(seconds: float, pipe: AudioPipeline) -> None:
    """An impossible length is refused before a file is read, and so is a model that has none, where none is given."""
    with pytest.raises(ConfigError, match="max_seconds must be a number above 0"):
        FolderRecipe(max_seconds=seconds).loader(pipe.components)
    with pytest.raises(ConfigError, match="set max_seconds"):
        FolderRecipe().loader(replace(pipe.components, defaults={}))
