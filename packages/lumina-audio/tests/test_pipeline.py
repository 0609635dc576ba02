"""AudioPipeline: what a call returns, what decides a sound, and what bad arguments get."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flagdit_core.errors import (
    CancelledError,
    CheckpointError,
    ConfigError,
    FlagDiTError,
    OutOfMemoryError,
    ShapeError,
    StrictError,
)
from flagdit_core.noise import latent_noise
from lumina_audio import AudioPipeline
from lumina_audio.mel_codec import MelCodec
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
    assert (sound.samples.shape, sound.sample_rate) == ((1, 8000), 16_000)
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


def test_drawn_seeds_differ(pipe: AudioPipeline) -> None:
    """Without a seed each prompt of each call gets its own."""
    seeds = [seed for _ in range(2) for seed in pipe([PROMPT, PROMPT]).report.settings["seeds"]]
    assert len(set(seeds)) == 4


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


def test_latents_in_and_out(pipe: AudioPipeline) -> None:
    """The seed's own noise as latents gives the seed's sound; the report says that latents were given."""
    noise = torch.stack([latent_noise((6, 8), seed=9, index=index) for index in (0, 1)])
    output = pipe(PROMPT, latents=noise, num_audios_per_prompt=2)
    torch.testing.assert_close(output.latents, latents_of(pipe, seed=9, num_audios_per_prompt=2))
    assert output.report.settings["from_latents"] is True


def test_callback_sees_every_step_and_cancels(pipe: AudioPipeline) -> None:
    """It gets (pipeline, step, time, latents) as in diffusers; CancelledError from it ends the call."""
    seen: list[tuple[AudioPipeline, int, float, torch.Size]] = []

    def look(pipeline: AudioPipeline, step: int, t: float, state: dict[str, Any]) -> None:
        seen.append((pipeline, step, t, state["latents"].shape))
        if step == 1:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        pipe([PROMPT, PROMPT], num_inference_steps=4, callback_on_step_end=look)
    assert seen == [(pipe, 0, 0.25, torch.Size((2, 6, 8))), (pipe, 1, 0.5, torch.Size((2, 6, 8)))]


def test_report_and_strict(pipe: AudioPipeline) -> None:
    """A prompt too long is told, and an error under strict."""
    long_prompt = "a low bell and " * 20
    assert "dropped" in pipe(long_prompt).report.deviations[0]
    with pytest.raises(StrictError, match="dropped"):
        pipe(long_prompt, strict=True)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"prompt": ""}, ConfigError, "expected a prompt"),
        ({"prompt": []}, ConfigError, "at least one prompt"),
        ({"audio_length_in_s": 0}, ConfigError, "above 0, got 0"),
        ({"audio_length_in_s": -1.0}, ConfigError, "above 0, got -1.0"),
        ({"audio_length_in_s": float("nan")}, ConfigError, "above 0, got nan"),
        ({"audio_length_in_s": float("inf")}, ConfigError, "above 0, got inf"),
        ({"audio_length_in_s": 1e308}, ConfigError, "above 0, got 1e"),
        ({"audio_length_in_s": True}, ConfigError, "above 0, got True"),
        ({"audio_length_in_s": "1"}, ConfigError, "above 0, got '1'"),
        ({"audio_length_in_s": 1e9}, OutOfMemoryError, "1 sound of 1e"),
        ({"num_inference_steps": 0}, ConfigError, "num_inference_steps"),
        ({"guidance_scale": float("nan")}, ConfigError, "guidance_scale"),
        ({"solver": "magic"}, ConfigError, "the solvers are euler"),
        ({"num_audios_per_prompt": 0}, ConfigError, "num_audios_per_prompt"),
        ({"first_audio_index": -1}, ConfigError, "first_audio_index"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"seed": [1, 2]}, ConfigError, "one seed, a whole number, or one for each of the 1 prompts"),
        ({"negative_prompt": ["a", "b"]}, ConfigError, "one negative_prompt"),
        ({"latents": torch.zeros(1, 6, 9)}, ShapeError, r"\(1, 6, 8\)"),
        ({"latents": torch.zeros(1, 6, 8), "seed": 1}, ConfigError, "one of them"),
        ({"guidance_scale": 3e38}, FlagDiTError, "finite"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: dict[str, Any], error: type[Exception], says: str, pipe: AudioPipeline
) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(error, match=says) as caught:
        pipe(**{"prompt": PROMPT, **arguments})
    assert "\n" not in str(caught.value)


def test_a_model_without_a_duration_asks_for_one(pipe: AudioPipeline) -> None:
    """There is no hidden default."""
    bare = AudioPipeline(replace(pipe.components, defaults={}))
    with pytest.raises(ConfigError, match="give audio_length_in_s"):
        bare(PROMPT)
    assert bare(PROMPT, audio_length_in_s=0.064).audios[0].samples.shape == (1, 1024)


@pytest.mark.parametrize(("name", "codec"), [("pipe", MelCodec), ("stereo_pipe", WaveformCodec)])
def test_save_and_load_give_the_identical_sound(
    name: str, codec: type, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Either codec is found by the class its folder names; sounds are equal bit for bit, with the same defaults."""
    pipe: AudioPipeline = request.getfixturevalue(name)
    pipe.save_pretrained(tmp_path / "model")
    loaded = AudioPipeline.from_pretrained(tmp_path / "model")
    assert isinstance(loaded.components.codec, codec)
    assert loaded.components.sampling == pipe.components.sampling
    first, second = pipe(PROMPT, seed=3), loaded(PROMPT, seed=3)
    assert torch.equal(first.latents, second.latents)
    assert np.array_equal(first.audios[0].samples, second.audios[0].samples)


def test_half_precision_starts_from_the_same_noise(saved: Path) -> None:
    """In bfloat16 the sound differs by rounding only, since noise and state are float32."""
    whole = latents_of(AudioPipeline.from_pretrained(saved), seed=2)
    half = AudioPipeline.from_pretrained(saved, dtype=torch.bfloat16)
    rounded = half(PROMPT, seed=2)
    assert rounded.latents.dtype == torch.float32
    assert 0 < (whole - rounded.latents).abs().mean() < 0.1 * whole.abs().mean()
    assert rounded.audios[0].samples.dtype == np.float32


def test_folders_of_something_else_are_refused(saved: Path, tmp_path: Path) -> None:
    """The class in model_index.json decides, and the codec's own class in its config.json."""
    (tmp_path / "model_index.json").write_text('{"_class_name": "ImagePipeline"}')
    with pytest.raises(CheckpointError, match="holds the pipeline ImagePipeline, expected AudioPipeline"):
        AudioPipeline.from_pretrained(tmp_path)
    other = tmp_path / "other"
    shutil.copytree(saved, other)
    config = other / "vae" / "config.json"
    config.write_text(config.read_text().replace("MelVAE", "AutoencoderKL"))
    with pytest.raises(CheckpointError, match=r"expected a MelVAE or an AutoencoderOobleck in .* got AutoencoderKL"):
        AudioPipeline.from_pretrained(other)
