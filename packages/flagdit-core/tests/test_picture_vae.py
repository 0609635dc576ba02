"""PictureVAE: the same network as diffusers' AutoencoderKL, its folders, and what it does not read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.picture_vae import PictureVAE, PictureVAEConfig

FORMS: dict[str, dict[str, Any]] = {
    "plain": {"mid_block_add_attention": False, "layers_per_block": 1},
    "attention": {"layers_per_block": 2},
    "without 1x1 convolutions": {"use_quant_conv": False, "use_post_quant_conv": False},
}


@pytest.fixture(params=FORMS)
def peer(request: pytest.FixtureRequest) -> AutoencoderKL:
    """The network of diffusers in each form, with random weights."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 24),
        norm_num_groups=4,
        latent_channels=3,
        scaling_factor=0.5,
        shift_factor=0.25,
        **FORMS[request.param],
    ).eval()


@torch.no_grad()
def test_it_is_the_network_of_diffusers(peer: AutoencoderKL) -> None:
    """Weights have the same names in the same order, and the same weights code the same pictures."""
    vae = PictureVAE(PictureVAEConfig.from_dict(peer.config)).eval()
    assert list(vae.state_dict()) == list(peer.state_dict())
    vae.load_state_dict(peer.state_dict())
    pixels, z = torch.rand(2, 3, 24, 40), torch.randn(2, 3, 3, 5)
    torch.testing.assert_close(vae.encode(pixels), peer.encode(pixels).latent_dist.parameters, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vae.decode(z), peer.decode(z).sample, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_folders_of_diffusers_are_read_and_written(peer: AutoencoderKL, tmp_path: Path) -> None:
    """A folder that diffusers wrote is read with its units, and one that we write is read by diffusers, bit by bit."""
    peer.save_pretrained(tmp_path / "theirs")
    codec = PictureCodec.from_pretrained(tmp_path / "theirs")
    assert (codec.scale, codec.shift) == (0.5, 0.25)
    codec.save_pretrained(tmp_path / "ours")
    again = AutoencoderKL.from_pretrained(tmp_path / "ours", low_cpu_mem_usage=False)
    assert (again.config.scaling_factor, again.config.shift_factor) == (0.5, 0.25)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in peer.state_dict().items())
    z = torch.randn(1, 3, 2, 2)
    assert torch.equal(again.decode(z).sample, peer.decode(z).sample)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"act_fn": "gelu"}, "act_fn=silu, got gelu"),
        ({"in_channels": 4}, "in_channels=3, got 4"),
        ({"up_block_types": ["UpDecoderBlock2D"] * 3 + ["AttnUpDecoderBlock2D"]}, "up_block_types="),
        ({"latents_mean": [0.0, 0.0, 0.0]}, "latents_mean=None"),
    ],
)
def test_other_networks_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A configuration of another network is one line that says what differs, and never a network that ignores it."""
    config = PictureVAEConfig(block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=3)
    with pytest.raises(ConfigError, match=message):
        PictureVAEConfig.from_dict(config.to_dict() | settings)
    PictureCodec(PictureVAE(config), 1.0, 0.0).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict() | settings))
    with pytest.raises(CheckpointError, match=message):
        PictureCodec.from_pretrained(tmp_path)


@pytest.mark.parametrize("settings", [{"norm_num_groups": 3}, {"latent_channels": 0}, {"layers_per_block": 0}])
def test_impossible_forms_are_refused(settings: dict[str, int]) -> None:
    """Widths that the groups do not divide, and sizes below 1."""
    with pytest.raises(ConfigError, match=r"expected (positive|block_out)"):
        PictureVAEConfig(**{"block_out_channels": (8, 16), "norm_num_groups": 4} | settings)
