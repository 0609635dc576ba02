"""Tiny random codecs and pipelines, so that all but the shipped model is tested in seconds."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from flagdit_core.testing import random_components, random_picture_codec
from lumina_video import VideoPipeline
from lumina_video.codec import CausalCodec, FilmCodec, FrameCodec

CAPTIONS = ["a red circle moves from left to right on a white background", "a blue square turns clockwise"]


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


def _pipeline(codec: FilmCodec, num_frames: int, name: str) -> VideoPipeline:
    """Films are 48 x 32 by default."""
    defaults = {"height": 32, "width": 48, "num_frames": num_frames, "fps": 8.0}
    return VideoPipeline(random_components(codec, CAPTIONS, training_shape=(5, 4, 4), defaults=defaults), name=name)


@pytest.fixture(scope="session")
def pipe(frame_codec: FrameCodec) -> VideoPipeline:
    """Films of 6 frames, each a latent of its own."""
    return _pipeline(frame_codec, 6, "tiny")


@pytest.fixture(scope="session")
def causal_pipe(causal_codec: CausalCodec) -> VideoPipeline:
    """Films of 9 frames in 3 latent frames."""
    return _pipeline(causal_codec, 9, "tiny-causal")


@pytest.fixture(scope="session")
def saved(pipe: VideoPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder
