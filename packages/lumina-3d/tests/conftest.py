"""One scene and the object made of its views; and tiny random pipelines, so that no test needs the shipped model."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Components, SamplingSettings
from flagdit_core.text_encoder import build_small_text_encoder
from lumina_3d import Object3D, ObjectPipeline, Views, orbit, reconstruct
from lumina_3d.world import scene_of, show

CAPTION = "a medium blue cone on a large red cube"


@pytest.fixture(scope="session")
def views() -> Views:
    """Twelve views of 64 pixels."""
    return show(scene_of(CAPTION), orbit(12), 64)


@pytest.fixture(scope="session")
def item(views: Views) -> Object3D:
    """The object of these views."""
    return reconstruct(views, resolution=48)


def _codec(*, contrast: float) -> PictureCodec:
    """A random picture VAE with a scale and a shift."""
    torch.manual_seed(1)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        mid_block_add_attention=False,
    )
    vae.decoder.conv_out.weight.data *= contrast
    return PictureCodec(vae, scale=0.5, shift=0.25)


def _pipeline(codec: PictureCodec, name: str) -> ObjectPipeline:
    """Random parts whose weights are large enough for prompts to matter; four views of 32 pixels by default."""
    torch.manual_seed(0)
    config = FlagDiTConfig(
        in_channels=4, hidden_size=32, depth=2, num_heads=2, num_kv_heads=2, ffn_hidden_size=64,
        conditioning_size=32, caption_size=16,
    )  # fmt: skip
    model = FlagDiT(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    encoder = build_small_text_encoder(
        [CAPTION, "a green ball"], vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, max_tokens=24, seed=0
    )
    components = Components(
        text_encoder=encoder.eval(),
        model=model,
        codec=codec,
        sampling=SamplingSettings(num_inference_steps=3, guidance_scale=2.0, training_shape=(4, 4, 4)),
        defaults={"height": 32, "width": 32, "num_views": 4},
    )
    return ObjectPipeline(components, name=name)


@pytest.fixture(scope="session")
def codec() -> PictureCodec:
    """Its pictures are blotches, which have something in common from any four sides."""
    return _codec(contrast=8.0)


@pytest.fixture(scope="session")
def pipe(codec: PictureCodec) -> ObjectPipeline:
    """Makes objects without form."""
    return _pipeline(codec, "tiny")


@pytest.fixture(scope="session")
def saved(pipe: ObjectPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def saved_blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose views show nothing."""
    folder = tmp_path_factory.mktemp("models") / "blank"
    _pipeline(_codec(contrast=0.0), "blank").save_pretrained(folder)
    return folder
