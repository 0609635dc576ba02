"""Tiny random pipelines, so that all but the shipped model is tested in seconds."""

import os
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderOobleck

from lumina_audio import AudioPipeline
from lumina_audio.mel_codec import MelCodec
from lumina_audio.testing import random_mel_codec, random_pipeline
from lumina_audio.waveform_codec import WaveformCodec


@pytest.fixture(scope="session")
def mel_codec() -> MelCodec:
    """A random mel VAE with a scale and a shift, and Griffin-Lim: 1024 samples of 16 kHz for a latent."""
    return random_mel_codec()


@pytest.fixture(scope="session")
def waveform_codec() -> WaveformCodec:
    """A random stereo autoencoder: 8 samples of 8 kHz for a latent."""
    torch.manual_seed(2)
    vae = AutoencoderOobleck(
        encoder_hidden_size=12,
        downsampling_ratios=[2, 4],
        channel_multiples=[1, 2],
        decoder_channels=4,
        decoder_input_channels=6,
        audio_channels=2,
        sampling_rate=8000,
    )
    return WaveformCodec(vae, scale=2.0, shift=0.5)


@pytest.fixture(scope="session")
def pipe(mel_codec: MelCodec) -> AudioPipeline:
    """Half a second of mono through a mel spectrogram, by default."""
    return random_pipeline(mel_codec)


@pytest.fixture(scope="session")
def stereo_pipe(waveform_codec: WaveformCodec) -> AudioPipeline:
    """A tenth of a second of stereo without a spectrogram, by default."""
    return random_pipeline(waveform_codec, seconds=0.1)


@pytest.fixture(scope="session")
def rows_pipe(mel_codec: MelCodec) -> AudioPipeline:
    """Like ``pipe``, but latents have two rows, and the network reads them in patches of 2 x 2."""
    return random_pipeline(MelCodec(mel_codec.vae, latent_rows=2), patch_size=2)


@pytest.fixture
def fake_espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that takes the place of espeak-ng: its phonemes are other letters: n for a, o for b, ..."""
    program = tmp_path / "bin" / "espeak-ng"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec tr a-z n-za-m\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@pytest.fixture(scope="session")
def saved(pipe: AudioPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder
