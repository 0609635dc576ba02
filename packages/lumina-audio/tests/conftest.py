"""Tiny random pipelines, so that all but the shipped model is tested in seconds."""

import os
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderOobleck

from flagdit_core.testing import random_components
from lumina_audio import AudioPipeline
from lumina_audio.codec import SoundCodec
from lumina_audio.mel_codec import MelCodec
from lumina_audio.mel_vae import MelVAE, MelVAEConfig
from lumina_audio.waveform_codec import WaveformCodec

CAPTIONS = ["three short high beeps, then a low bell", 'a voice says "seven"']


@pytest.fixture(scope="session")
def mel_codec() -> MelCodec:
    """A random mel VAE with a scale and a shift, and Griffin-Lim: 1024 samples of 16 kHz for a latent."""
    torch.manual_seed(1)
    config = MelVAEConfig(latent_channels=6, hidden_size=16, depth=1, scaling_factor=0.5, shift_factor=0.25)
    return MelCodec(MelVAE(config))


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


def _pipeline(codec: SoundCodec, seconds: float, name: str, *, patch_size: int = 1) -> AudioPipeline:
    """Sounds of that length by default."""
    components = random_components(
        codec, CAPTIONS, training_shape=(1, codec.latent_rows, 8), defaults={"audio_length_in_s": seconds},
        num_inference_steps=2, patch_size=patch_size,
    )  # fmt: skip
    return AudioPipeline(components, name=name)


@pytest.fixture(scope="session")
def pipe(mel_codec: MelCodec) -> AudioPipeline:
    """Half a second of mono through a mel spectrogram, by default."""
    return _pipeline(mel_codec, 0.5, "tiny")


@pytest.fixture(scope="session")
def stereo_pipe(waveform_codec: WaveformCodec) -> AudioPipeline:
    """A tenth of a second of stereo without a spectrogram, by default."""
    return _pipeline(waveform_codec, 0.1, "tiny-stereo")


@pytest.fixture(scope="session")
def rows_pipe(mel_codec: MelCodec) -> AudioPipeline:
    """Like ``pipe``, but latents have two rows, and the network reads them in patches of 2 x 2."""
    return _pipeline(MelCodec(mel_codec.vae, latent_rows=2), 0.5, "tiny-rows", patch_size=2)


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
