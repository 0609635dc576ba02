"""Tiny random codecs and pipelines, so that all but the shipped model is tested in seconds."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from flagdit_core.testing import random_picture_codec
from lumina_video import VideoPipeline
from lumina_video.codec import CausalCodec, FrameCodec
from lumina_video.testing import random_pipeline


@pytest.fixture(scope="session")
def frame_codec() -> FrameCodec:
    """A random picture VAE with a scale and a shift, frame by frame."""
    return FrameCodec(random_picture_codec())


@pytest.fixture(scope="session")
def causal_codec() -> CausalCodec:
    """A random causal video VAE whose channels have units of their own."""
    torch.manual_seed(2)
    vae = AutoencoderKLWan(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.5, -0.5, 0.0, 0.25],
        latents_std=[2.0, 1.0, 0.5, 1.5],
    )
    return CausalCodec(vae)


@pytest.fixture(scope="session")
def pipe(frame_codec: FrameCodec) -> VideoPipeline:
    """Films of 6 frames, each a latent of its own."""
    return random_pipeline(frame_codec)


@pytest.fixture(scope="session")
def causal_pipe(causal_codec: CausalCodec) -> VideoPipeline:
    """Films of 9 frames in 3 latent frames."""
    return random_pipeline(causal_codec, num_frames=9)


@pytest.fixture(scope="session")
def saved(pipe: VideoPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder
