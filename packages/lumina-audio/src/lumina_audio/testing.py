"""Tiny random pipelines, with which all but the shipped model is tested in seconds."""

import torch

from flagdit_core.testing import random_components
from lumina_audio.codec import SoundCodec
from lumina_audio.mel_codec import MelCodec
from lumina_audio.mel_vae import MelVAE, MelVAEConfig
from lumina_audio.pipeline import AudioPipeline

_CAPTIONS = ["three short high beeps, then a low bell", 'a voice says "seven"']


def random_mel_codec() -> MelCodec:
    """A mel VAE with a scale and a shift, and Griffin-Lim, the same at every call.

    Returns:
        The codec: 1024 samples of 16 kHz for a latent of six channels.
    """
    config = MelVAEConfig(latent_channels=6, hidden_size=16, depth=1, scaling_factor=0.5, shift_factor=0.25)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return MelCodec(MelVAE(config))


def random_pipeline(codec: SoundCodec | None = None, *, seconds: float = 0.5, patch_size: int = 1) -> AudioPipeline:
    """A pipeline that makes nothing to listen to, the same at every call.

    Args:
        codec: None for :func:`random_mel_codec`.
        seconds: Duration of a sound by default.
        patch_size: Of the network.

    Returns:
        One whose sounds have latents (6, 8) where nothing else is asked for.
    """
    codec = random_mel_codec() if codec is None else codec
    components = random_components(
        codec,
        _CAPTIONS,
        training_shape=(1, codec.latent_rows, 8),
        defaults={"audio_length_in_s": seconds},
        num_inference_steps=2,
        patch_size=patch_size,
    )
    return AudioPipeline(components, name="tiny")
