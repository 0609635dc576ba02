"""The picture VAE of latent diffusion (arXiv 2112.10752, appendix G): convolutions, with attention at the bottom.

Parameters are named as in diffusers' AutoencoderKL, whose folders (SD's, SDXL's, Flux's) it reads and writes. It is
written out here because importing diffusers takes longer than making a picture.

Legend: B batch, C latent channels, D feature channels, H and W height and width in pixels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from flagdit_core.errors import ConfigError

_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class PictureVAEConfig:
    """The form of the network, under diffusers' names.

    Attributes:
        block_out_channels: D at each resolution, the full one first; each further one has half the sides.
        layers_per_block: Residual blocks of each resolution of the encoder; the decoder has one more.
        latent_channels: C.
        norm_num_groups: Groups of the group norms.
        mid_block_add_attention: Whether the bottom has self-attention.
        use_quant_conv: Whether a 1x1 convolution follows the encoder.
        use_post_quant_conv: Whether one comes before the decoder.

    Raises:
        ConfigError: A width is no multiple of the groups, or a number is not positive.
    """

    block_out_channels: tuple[int, ...]
    layers_per_block: int = 1
    latent_channels: int = 4
    norm_num_groups: int = 32
    mid_block_add_attention: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True

    def __post_init__(self) -> None:
        if min(self.layers_per_block, self.latent_channels, self.norm_num_groups, *self.block_out_channels) < 1:
            raise ConfigError(f"expected positive sizes of a picture VAE, got {self}")
        if any(width % self.norm_num_groups for width in self.block_out_channels):
            raise ConfigError(
                f"expected block_out_channels that are multiples of norm_num_groups ({self.norm_num_groups}), "
                f"got {self.block_out_channels}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The form that a diffusers configuration describes.

        Args:
            values: ``config.json``; what it leaves out is as in diffusers.

        Returns:
            The form.

        Raises:
            ConfigError: It describes another network than this one.
        """
        depth = len(values.get("block_out_channels", (64,)))
        expected: dict[str, Any] = {
            "in_channels": 3,
            "out_channels": 3,
            "act_fn": "silu",
            "down_block_types": ["DownEncoderBlock2D"] * depth,
            "up_block_types": ["UpDecoderBlock2D"] * depth,
            "latents_mean": None,
            "latents_std": None,
        }
        for name, value in expected.items():
            found = values.get(name, value)
            if (list(found) if isinstance(found, tuple) else found) != value:
                raise ConfigError(f"expected a picture VAE with {name}={value}, got {found}")
        given = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**given | {"block_out_channels": tuple(values.get("block_out_channels", (64,)))})

    def to_dict(self) -> dict[str, Any]:
        """``config.json`` as diffusers reads it, but for the units of the latents."""
        depth = len(self.block_out_channels)
        return {
            "_class_name": "AutoencoderKL",
            "in_channels": 3,
            "out_channels": 3,
            "act_fn": "silu",
            "down_block_types": ["DownEncoderBlock2D"] * depth,
            "up_block_types": ["UpDecoderBlock2D"] * depth,
            "force_upcast": False,
            **asdict(self),
        }


class ResidualBlock(nn.Module):
    """Twice a group norm, SiLU and a convolution, added to the input."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps=_EPS)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out_channels, eps=_EPS)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """The features after this block."""
        h_BDHW = self.conv1(F.silu(self.norm1(x_BDHW)))
        h_BDHW = self.conv2(F.silu(self.norm2(h_BDHW)))
        return h_BDHW + (x_BDHW if self.conv_shortcut is None else self.conv_shortcut(x_BDHW))


class PixelAttention(nn.Module):
    """Self-attention of all places of the picture, with one head, added to the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=_EPS)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """The features after this layer."""
        height = x_BDHW.shape[2]
        h_B1LD = rearrange(self.group_norm(x_BDHW), "b d h w -> b 1 (h w) d")
        h_B1LD = F.scaled_dot_product_attention(self.to_q(h_B1LD), self.to_k(h_B1LD), self.to_v(h_B1LD))
        return x_BDHW + rearrange(self.to_out[0](h_B1LD), "b 1 (h w) d -> b d h w", h=height)


class Resample(nn.Module):
    """A convolution that halves the sides, or that follows their doubling."""

    def __init__(self, channels: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """The features at the other resolution."""
        if self.down:
            return self.conv(F.pad(x_BDHW, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x_BDHW, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The residual blocks of one resolution, and the way to the next one."""

    def __init__(self, in_channels: int, out_channels: int, layers: int, groups: int, resample: str | None) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * layers
        self.resnets = nn.ModuleList(ResidualBlock(*pair, groups) for pair in pairwise(widths))
        if resample is not None:  # under diffusers' name
            self.add_module(resample, nn.ModuleList([Resample(out_channels, down=resample == "downsamplers")]))

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """The features after this level."""
        for layers in self.children():
            assert isinstance(layers, nn.ModuleList)
            for layer in layers:
                x_BDHW = layer(x_BDHW)
        return x_BDHW


class Bottom(nn.Module):
    """The lowest resolution: a residual block, attention if there is any, a residual block."""

    def __init__(self, channels: int, groups: int, *, attention: bool) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([PixelAttention(channels, groups)] if attention else [])
        self.resnets = nn.ModuleList(ResidualBlock(channels, channels, groups) for _ in range(2))

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """The features after it."""
        first, last = self.resnets
        x_BDHW = first(x_BDHW)
        for attention in self.attentions:
            x_BDHW = attention(x_BDHW)
        return last(x_BDHW)


class Encoder(nn.Module):
    """Pixels to the mean and log variance of the latent."""

    def __init__(self, config: PictureVAEConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Level(*pair, config.layers_per_block, groups, "downsamplers" if level < len(widths) else None)
            for level, pair in enumerate(pairwise((widths[0], *widths)), 1)
        )
        self.mid_block = Bottom(widths[-1], groups, attention=config.mid_block_add_attention)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=_EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, pixels_B3HW: Tensor) -> Tensor:
        """(B, 2C, h, w)."""
        x_BDHW = self.conv_in(pixels_B3HW)
        for level in self.down_blocks:
            x_BDHW = level(x_BDHW)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x_BDHW))))


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: PictureVAEConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels[::-1], config.norm_num_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.up_blocks = nn.ModuleList(
            Level(*pair, config.layers_per_block + 1, groups, "upsamplers" if level < len(widths) else None)
            for level, pair in enumerate(pairwise((widths[0], *widths)), 1)
        )
        self.mid_block = Bottom(widths[0], groups, attention=config.mid_block_add_attention)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=_EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z_BChw: Tensor) -> Tensor:
        """(B, 3, H, W)."""
        x_BDHW = self.mid_block(self.conv_in(z_BChw))
        for level in self.up_blocks:
            x_BDHW = level(x_BDHW)
        return self.conv_out(F.silu(self.conv_norm_out(x_BDHW)))


class PictureVAE(nn.Module):
    """A variational autoencoder of pictures.

    Args:
        config: Its form.

    Example:
        >>> vae = PictureVAE(PictureVAEConfig(block_out_channels=(8, 8, 8, 8), norm_num_groups=4))
        >>> vae.decode(vae.encode(torch.zeros(1, 3, 16, 24)).chunk(2, dim=1)[0]).shape
        torch.Size([1, 3, 16, 24])
    """

    def __init__(self, config: PictureVAEConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.latent_channels
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1) if config.use_quant_conv else None
        self.post_quant_conv = nn.Conv2d(channels, channels, 1) if config.use_post_quant_conv else None

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.decoder.conv_in.weight.dtype

    def encode(self, pixels: Tensor) -> Tensor:
        """Mean and log variance (B, 2C, h, w) of the latents of pixels (B, 3, H, W) in [-1, 1]."""
        moments: Tensor = self.encoder(pixels)
        return moments if self.quant_conv is None else self.quant_conv(moments)

    def decode(self, z: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) of latents (B, C, h, w)."""
        pixels: Tensor = self.decoder(z if self.post_quant_conv is None else self.post_quant_conv(z))
        return pixels
