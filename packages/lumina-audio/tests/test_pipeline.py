"""AudioPipeline: what a call returns, what decides a sound, and what bad arguments get."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flagdit_core.errors import CheckpointError, ConfigError, OutOfMemoryError
from lumina_audio import AudioPipeline
from lumina_audio.sound import PEAK_CEILING_DB, SANE_LEVELS_DB
from lumina_audio.waveform_codec import WaveformCodec

PROMPT = "a low bell"


def latents_of(pipe: AudioPipeline, prompt: Any = PROMPT, **arguments: Any) -> Tensor:
    """The latents of a call."""
    return pipe(prompt, **arguments).latents


def test_default_call_gives_a_sound_of_the_models_duration(pipe: AudioPipeline) -> None:
    """One prompt gives one sound of the default duration at the codec's rate, and the report holds the drawn seed."""
    output = pipe(PROMPT)
    (sound,) = output.audios
    assert (sound.samples.shape, sound.samples.dtype, sound.sample_rate) == ((1, 8000), np.float32, 16_000)
    assert output.report.settings["sample_rate"] == pipe.sample_rate == 16_000
    again = pipe(PROMPT, seed=output.report.settings["seeds"][0])
    assert np.array_equal(again.audios[0].samples, sound.samples)


@pytest.mark.parametrize(
    ("seconds", "samples", "cells"), [(0.064, 1024, 1), (0.1, 1600, 2), (1e-9, 1, 1), (1, 16_000, 16)]
)
def test_durations_are_made_to_the_sample(seconds: float, samples: int, cells: int, pipe: AudioPipeline) -> None:
    """Whatever the duration, the latent covers it in whole cells and the sound is cut to it."""
    output = pipe(PROMPT, audio_length_in_s=seconds, num_inference_steps=1)
    assert output.audios[0].samples.shape == (1, samples)
    assert output.latents.shape == (1, 6, cells)


def test_latents_of_two_rows(rows_pipe: AudioPipeline) -> None:
    """A network that reads patches of 2 x 2 makes sounds to the sample; the latent has whole patches."""
    output = rows_pipe(PROMPT, audio_length_in_s=0.52, seed=1)
    assert (output.audios[0].samples.shape, output.latents.shape) == ((1, 8320), (1, 3, 2, 10))
    again = rows_pipe(PROMPT, audio_length_in_s=0.52, seed=1, audio=output.audios[0], audio_span=(0.2, 0.3))
    assert np.array_equal(again.audios[0].samples[:, :3200], output.audios[0].samples[:, :3200])
    assert not np.array_equal(again.audios[0].samples[:, 3200:4800], output.audios[0].samples[:, 3200:4800])


def test_stereo(stereo_pipe: AudioPipeline) -> None:
    """A waveform codec gives both channels, which differ, at its own rate."""
    output = stereo_pipe(PROMPT, seed=1)
    sound = output.audios[0]
    assert (sound.samples.shape, sound.sample_rate, output.latents.shape) == ((2, 800), 8000, (1, 6, 100))
    assert not np.allclose(sound.samples[0], sound.samples[1], atol=1e-4)


@pytest.mark.parametrize("gain", [30.0, 1e-4])
def test_sounds_are_of_a_sane_level(gain: float, stereo_pipe: AudioPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a codec gives far too loud or too soft is neither clipped nor inaudible."""
    decode = WaveformCodec.decode
    monkeypatch.setattr(WaveformCodec, "decode", lambda self, latents: gain * decode(self, latents))
    sound = stereo_pipe(PROMPT, seed=1).audios[0]
    assert sound.peak_db <= PEAK_CEILING_DB + 1e-3
    assert SANE_LEVELS_DB[0] - 1e-3 <= sound.level_db <= SANE_LEVELS_DB[1] + 1e-3


def test_a_sound_depends_on_prompt_seed_and_number_alone(pipe: AudioPipeline) -> None:
    """Batches, their order, other prompts and other sounds change nothing; sound 1 of 2 is reproducible alone."""
    prompts = [PROMPT, "a hiss", "a long tone"]
    batch = latents_of(pipe, prompts, seed=[4, 5, 6], num_audios_per_prompt=2)
    turned = latents_of(pipe, prompts[::-1], seed=[6, 5, 4], num_audios_per_prompt=2)
    torch.testing.assert_close(turned.view(3, 2, 6, 8).flip(0).flatten(0, 1), batch, rtol=1e-4, atol=1e-4)
    alone = latents_of(pipe, prompts[1], seed=5, first_audio_index=1)
    torch.testing.assert_close(alone[0], batch[3], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(batch[2], batch[3], atol=1e-2)


def test_every_argument_matters(pipe: AudioPipeline) -> None:
    """No argument of the call is ignored."""
    base = latents_of(pipe, seed=1)
    changes: list[dict[str, Any]] = [
        {"prompt": "a hiss"},
        {"negative_prompt": "a hiss"},
        {"num_inference_steps": 3},
        {"guidance_scale": 6.0},
        {"solver": "heun"},
        {"time_shift": 3.0},
        {"settings": pipe.components.sampling.replace(guidance_channels=2)},
    ]
    for change in changes:
        assert not torch.allclose(latents_of(pipe, seed=1, **change), base, atol=1e-4), change


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"audio_length_in_s": 0}, ConfigError, "above 0, got 0"),
        ({"audio_length_in_s": -1.0}, ConfigError, "above 0, got -1.0"),
        ({"audio_length_in_s": float("nan")}, ConfigError, "above 0, got nan"),
        ({"audio_length_in_s": float("inf")}, ConfigError, "above 0, got inf"),
        ({"audio_length_in_s": 1e308}, ConfigError, "above 0, got 1e"),
        ({"audio_length_in_s": True}, ConfigError, "above 0, got True"),
        ({"audio_length_in_s": "1"}, ConfigError, "above 0, got '1'"),
        ({"audio_length_in_s": 1e9}, OutOfMemoryError, "1 sound of 1e"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: dict[str, Any], error: type[Exception], says: str, pipe: AudioPipeline
) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(error, match=says) as caught:
        pipe(PROMPT, **arguments)
    assert "\n" not in str(caught.value)


def test_projected_flow_is_not_for_sounds(pipe: AudioPipeline) -> None:
    """A sound has no sides that could be enlarged."""
    settings = pipe.components.sampling.replace(projected_flow=True)
    with pytest.raises(ConfigError, match="projected_flow is for media with a height and a width"):
        pipe(PROMPT, settings=settings)


def test_a_model_without_a_duration_asks_for_one(pipe: AudioPipeline) -> None:
    """There is no hidden default."""
    bare = AudioPipeline(replace(pipe.components, defaults={}))
    with pytest.raises(ConfigError, match="give audio_length_in_s"):
        bare(PROMPT)
    assert bare(PROMPT, audio_length_in_s=0.064).audios[0].samples.shape == (1, 1024)


def test_save_and_load_give_the_identical_stereo_sound(stereo_pipe: AudioPipeline, tmp_path: Path) -> None:
    """The codec is found by the class its folder names; sounds are equal bit for bit, with the same defaults."""
    stereo_pipe.save_pretrained(tmp_path / "model")
    loaded = AudioPipeline.from_pretrained(tmp_path / "model")
    assert isinstance(loaded.components.codec, WaveformCodec)
    assert loaded.components.sampling == stereo_pipe.components.sampling
    first, second = stereo_pipe(PROMPT, seed=3), loaded(PROMPT, seed=3)
    assert torch.equal(first.latents, second.latents)
    assert np.array_equal(first.audios[0].samples, second.audios[0].samples)


def test_a_codec_of_something_else_is_refused(saved: Path, tmp_path: Path) -> None:
    """The codec's own class in its config.json decides."""
    other = tmp_path / "other"
    shutil.copytree(saved, other)
    config = other / "vae" / "config.json"
    config.write_text(config.read_text().replace("MelVAE", "AutoencoderKL"))
    with pytest.raises(CheckpointError, match=r"expected a MelVAE or an AutoencoderOobleck in .* got AutoencoderKL"):
        AudioPipeline.from_pretrained(other)
