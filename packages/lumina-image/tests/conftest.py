"""A tiny random pipeline, so that pipeline and command line are tested in seconds."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Components, SamplingSettings
from flagdit_core.text_encoder import build_small_text_encoder
from lumina_image import ImagePipeline

CAPTIONS = ["a red circle on a white background", "a blue square left of a large green star"]


@pytest.fixture(scope="session")
def pipe() -> ImagePipeline:
    """Random parts whose weights are large enough for prompts to matter; pictures are 32 x 48 by default."""
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
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        mid_block_add_attention=False,
    )
    components = Components(
        text_encoder=encoder.eval(),
        model=model,
        codec=PictureCodec(vae, scale=0.5, shift=0.25),
        sampling=SamplingSettings(num_inference_steps=3, guidance_scale=2.0, training_shape=(1, 4, 4)),
        defaults={"height": 32, "width": 48},
    )
    return ImagePipeline(components, name="tiny")


@pytest.fixture(scope="session")
def saved(pipe: ImagePipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder
