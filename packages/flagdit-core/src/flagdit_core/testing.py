"""Tiny random models, with which a modality's pipeline is tested in seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from flagdit_core.codec import Codec
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Components, SamplingSettings
from flagdit_core.text_encoder import build_small_text_encoder


def random_components(
    codec: Codec,
    captions: Sequence[str],
    *,
    training_shape: tuple[int, int, int],
    defaults: Mapping[str, Any] | None = None,
    num_inference_steps: int = 3,
    guidance_scale: float = 2.0,
    patch_size: int = 2,
    spread: float = 0.1,
) -> Components:
    """The parts of a pipeline that makes nothing to look at, the same at every call.

    Args:
        codec: Of the modality.
        captions: What the tokenizer is made of.
        training_shape: As in :class:`~flagdit_core.pipeline.SamplingSettings`.
        defaults: Size, length and the like of what the pipeline makes.
        num_inference_steps: Solver steps.
        guidance_scale: Of classifier-free guidance.
        patch_size: Of the network.
        spread: Standard deviation of the network's weights, large enough for prompts to matter.

    Returns:
        A network of 32 hidden features for the codec's latents, and a text encoder of 16.
    """
    config = FlagDiTConfig(
        in_channels=codec.latent_channels, patch_size=patch_size, hidden_size=32, depth=2, num_heads=2, num_kv_heads=2,
        ffn_hidden_size=64, conditioning_size=32, caption_size=16,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FlagDiT(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=spread)
        encoder = build_small_text_encoder(
            captions, vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, max_tokens=24, seed=0
        )
    sampling = SamplingSettings(
        num_inference_steps=num_inference_steps, guidance_scale=guidance_scale, training_shape=training_shape
    )
    return Components(
        text_encoder=encoder.eval(), model=model, codec=codec, sampling=sampling, defaults=dict(defaults or {})
    )


def random_picture_codec(*, contrast: float = 1.0) -> PictureCodec:
    """A picture codec with four channels, a scale and a shift, the same at every call.

    Args:
        contrast: Factor on its last weights; 0 decodes everything to one grey.

    Returns:
        The codec; it needs ``flagdit-core[pictures]``.
    """
    from diffusers import AutoencoderKL  # takes seconds to import

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            norm_num_groups=4,
            latent_channels=4,
            mid_block_add_attention=False,
        )
    with torch.no_grad():
        vae.decoder.conv_out.weight *= contrast
    return PictureCodec(vae, scale=0.5, shift=0.25)
