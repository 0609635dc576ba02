"""Tiny random codecs and pipelines, so that all but the shipped model is tested in seconds."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLWan

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Components, SamplingSettings
from flagdit_core.text_encoder import build_small_text_encoder
from lumina_video import VideoPipeline
from lumina_video.codec import CausalCodec, FilmCodec, FrameCodec

CAPTIONS = ["a red circle moves from left to right on a white background", "a blue square turns clockwise"]


@pytest.fixture(scope="session")
def frame_codec() -> FrameCodec:
    """A random picture VAE with a scale and a shift, frame by frame."""
    torch.manual_seed(1)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        mid_block_add_attention=False,
    )
    return FrameCodec(PictureCodec(vae, scale=0.5, shift=0.25))


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
    """Random parts whose weights are large enough for prompts to matter; films are 48 x 32 by default."""
    torch.manual_seed(0)
    config = FlagDiTConfig(
        in_channels=4, hidden_size=32, depth=2, num_heads=2, num_kv_heads=2, ffn_hidden_size=64,
        conditioning_size=32, caption_size=16,
    )  # fmt: skip
    model = FlagDiT(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    encoder = build_small_text_encoder(
        CAPTIONS, vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, max_tokens=24, seed=0
    )
    components = Components(
        text_encoder=encoder.eval(),
        model=model,
        codec=codec,
        sampling=SamplingSettings(num_inference_steps=3, guidance_scale=2.0, training_shape=(5, 4, 4)),
        defaults={"height": 32, "width": 48, "num_frames": num_frames, "fps": 8.0},
    )
    return VideoPipeline(components, name=name)


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
