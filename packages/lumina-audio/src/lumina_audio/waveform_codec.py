"""Sound to latents and back without a spectrogram between: diffusers' waveform autoencoder.

Legend: B batch, A audio channels, n samples of a channel, C latent channels, L latents.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flagdit_core.errors import CheckpointError, CodecError
from flagdit_core.model.checkpoint import load_into, read_config, read_state_dict
from lumina_audio.codec import check_latents, check_media

if TYPE_CHECKING:
    from diffusers import AutoencoderOobleck


class WaveformCodec:
    """diffusers' AutoencoderOobleck, the waveform autoencoder of Stable Audio: for example stereo at 44.1 kHz.

    ``latent = (z - shift) * scale``, with z the autoencoder's own latent.

    Args:
        vae: The network; put into eval mode, its parameters frozen.
        scale: 1 / standard deviation of z; not 0.
        shift: Mean of z.

    Attributes:
        latent_channels: C.
        stride: Samples per latent along (T, H, W): the second and third are 1.
        sample_rate: In Hz.
        audio_channels: 1 or 2.
        latent_rows: 1: latents have none.

    Raises:
        CodecError: The scale is 0, or the network has more than two channels.
    """

    library_class = ("diffusers", "AutoencoderOobleck")
    latent_rows = 1

    def __init__(self, vae: AutoencoderOobleck, scale: float = 1.0, shift: float = 0.0) -> None:
        if scale == 0:
            raise CodecError("expected a scale (1 / standard deviation of the latents) other than 0, got 0")
        if vae.config.audio_channels not in (1, 2):
            raise CodecError(f"expected an autoencoder of one or two channels, got {vae.config.audio_channels}")
        self.vae = vae.eval().requires_grad_(False)
        self.latent_channels: int = vae.config.decoder_input_channels
        self.stride = (math.prod(vae.config.downsampling_ratios), 1, 1)
        self.sample_rate: int = vae.config.sampling_rate
        self.audio_channels: int = vae.config.audio_channels
        self.scale = scale
        self.shift = shift

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> WaveformCodec:
        """Load a diffusers AutoencoderOobleck folder.

        Args:
            folder: Holds config.json and safetensors weights.
            dtype: Of the weights, and of the computation.

        Returns:
            The codec, on the CPU; scale and shift are the configuration's scaling_factor and shift_factor, if it has
            them, else 1 and 0.

        Raises:
            CheckpointError: The folder or its weights are missing, damaged or of another kind.
        """
        from diffusers import AutoencoderOobleck  # takes seconds to import: only where it is needed

        config = read_config(folder)
        kind = config.get("_class_name")
        if kind != "AutoencoderOobleck":
            raise CheckpointError(f"expected an autoencoder of class AutoencoderOobleck in {folder}, got {kind}")
        scale, shift = config.pop("scaling_factor", 1.0), config.pop("shift_factor", 0.0)
        with torch.device("meta"):
            vae = AutoencoderOobleck.from_config(config)
        load_into(vae, read_state_dict(folder), source=str(folder))
        torch.nn.Module.to(vae, dtype=dtype)  # diffusers' own warns at every cast
        return cls(vae, scale, shift)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json (with scale and shift) and safetensors weights, as diffusers reads them."""
        self.vae.register_to_config(scaling_factor=self.scale, shift_factor=self.shift)
        self.vae.save_pretrained(folder)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> WaveformCodec:
        """This codec, with its weights moved to a device, a dtype or both."""
        torch.nn.Module.to(self.vae, device=device, dtype=dtype)  # diffusers' own warns at every cast
        return self

    @torch.no_grad()
    def encode(self, media: Tensor) -> Tensor:
        """Latents of sound.

        Args:
            media: (B, A, n) floating point in [-1, 1], n a multiple of ``stride[0]``.

        Returns:
            (B, C, n / stride) in the dtype of ``media``: the posterior's mean.

        Raises:
            CodecError: The shape, the dtype or the length does not fit.
        """
        check_media(media, self.audio_channels, self.stride[0])
        z_BCL = self.vae.encode(media.to(self.vae.dtype)).latent_dist.mode().float()
        return ((z_BCL - self.shift) * self.scale).to(media.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Sound of latents.

        Args:
            latents: (B, C, L), floating point, as ``encode`` gives them.

        Returns:
            (B, A, L * stride) in the dtype of ``latents``, in [-1, 1] but for small excursions (not clamped).

        Raises:
            CodecError: The shape or dtype does not fit.
        """
        check_latents(latents, self.latent_channels)
        z_BCL = (latents.float() / self.scale + self.shift).to(self.vae.dtype)
        samples: Tensor = self.vae.decode(z_BCL).sample
        return samples.to(latents.dtype)
