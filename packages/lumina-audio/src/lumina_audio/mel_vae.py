"""The network of the mel codec: a small variational autoencoder over log-mel spectrograms, at any length.

Four frames make one patch; the rest is ConvNeXt blocks (Liu et al., arXiv 2201.03545) along time. Norms are over the
channels of one place, so a latent depends on its neighbourhood alone and not on the length of the sound.

Legend: B batch, M mel bins, T frames, L = T / 4 latents, D hidden size, C latent channels.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from flagdit_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MelVAEConfig:
    """Sizes and units of a mel VAE.

    Attributes:
        num_bins: M.
        patch_frames: Frames in a patch.
        latent_channels: C.
        hidden_size: D.
        depth: Blocks of the encoder, and again of the decoder.
        kernel_size: Latents that a block looks at along time; odd.
        expansion: Width inside a block, as a multiple of D.
        mel_floor: Lowest log10 amplitude that the codec tells from silence.
        mel_mean: Mean of the clamped log-mel spectrograms.
        mel_std: Their standard deviation.
        scaling_factor: Latents are ``(raw - shift_factor) * scaling_factor``.
        shift_factor: See there.
    """

    num_bins: int = 80
    patch_frames: int = 4
    latent_channels: int = 16
    hidden_size: int = 256
    depth: int = 4
    kernel_size: int = 7
    expansion: int = 3
    mel_floor: float = -4.0
    mel_mean: float = -2.5
    mel_std: float = 1.5
    scaling_factor: float = 1.0
    shift_factor: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.num_bins, self.patch_frames, self.latent_channels, self.hidden_size, self.depth, self.expansion)
        if min(sizes) < 1 or self.kernel_size % 2 == 0 or self.kernel_size < 1:
            raise ConfigError(f"expected sizes of 1 or more and an odd kernel_size, got {self}")
        if self.mel_std <= 0 or self.scaling_factor == 0:
            raise ConfigError(f"expected a positive mel_std and a scaling_factor other than 0, got {self}")


class MelVAE(nn.Module):
    """Log-mel spectrograms to the moments of latents, and latents back.

    Args:
        config: Sizes and units.

    Example:
        >>> vae = MelVAE(MelVAEConfig(hidden_size=32, depth=1))
        >>> mean, log_variance = vae.encode(torch.zeros(1, 80, 16))
        >>> mean.shape, vae.decode(mean).shape
        (torch.Size([1, 16, 4]), torch.Size([1, 80, 16]))
    """

    def __init__(self, config: MelVAEConfig) -> None:
        super().__init__()
        self.config = config
        patch = config.num_bins * config.patch_frames
        width = config.hidden_size
        self.encoder = nn.Sequential(nn.Conv1d(patch, width, 1), *(ConvNeXtBlock(config) for _ in range(config.depth)))
        self.to_moments = nn.Conv1d(width, 2 * config.latent_channels, 1)
        self.decoder = nn.Sequential(
            nn.Conv1d(config.latent_channels, width, 1), *(ConvNeXtBlock(config) for _ in range(config.depth))
        )
        self.to_patches = nn.Conv1d(width, patch, 1)

    def encode(self, mel_BMT: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior of a spectrogram's latents.

        Args:
            mel_BMT: (B, M, T) log10 amplitudes, T a multiple of the patch.

        Returns:
            Mean and log variance, (B, C, L) each, of raw latents: scale and shift are not applied.
        """
        config = self.config
        normal_BMT = (mel_BMT.clamp(min=config.mel_floor) - config.mel_mean) / config.mel_std
        patches = rearrange(normal_BMT, "b m (l p) -> b (m p) l", p=config.patch_frames)
        moments: Tensor = self.to_moments(self.encoder(patches))
        mean_BCL, log_variance_BCL = moments.chunk(2, dim=1)
        return mean_BCL, log_variance_BCL

    def decode(self, latents_BCL: Tensor) -> Tensor:
        """The spectrogram of raw latents.

        Args:
            latents_BCL: (B, C, L).

        Returns:
            (B, M, T) log10 amplitudes, which may lie below the floor.
        """
        config = self.config
        patches = self.to_patches(self.decoder(latents_BCL))
        normal_BMT = rearrange(patches, "b (m p) l -> b m (l p)", p=config.patch_frames)
        return normal_BMT * config.mel_std + config.mel_mean


class ConvNeXtBlock(nn.Module):
    """x + scale * MLP(norm(depthwise convolution of x)), on (B, D, L).

    Args:
        config: Sizes.
    """

    def __init__(self, config: MelVAEConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.hidden_size * config.expansion
        padding = config.kernel_size // 2
        self.mix = nn.Conv1d(width, width, config.kernel_size, padding=padding, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x_BDL: Tensor) -> Tensor:
        """The same shape."""
        y_BLD = rearrange(self.mix(x_BDL), "b d l -> b l d")
        y_BLD = self.narrow(nn.functional.gelu(self.widen(self.norm(y_BLD))))
        return x_BDL + rearrange(y_BLD * self.scale, "b l d -> b d l")
