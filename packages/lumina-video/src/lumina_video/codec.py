"""Films to latents and back: frame by frame with a picture VAE, or with a causal video VAE.

Shape legend: B batch, C latent channels, T frames, t latent frames, H and W in pixels, h = H / 8 and w = W / 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from einops import rearrange
from torch import Tensor

from flagdit_core import pixels
from flagdit_core.codec import Codec
from flagdit_core.errors import CheckpointError, CodecError
from flagdit_core.model.checkpoint import load_into, read_config, read_state_dict
from flagdit_core.picture_codec import PictureCodec

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan


class FilmCodec(Codec, Protocol):
    """A codec of films: pixels (B, 3, T, H, W) in [-1, 1] and latents (B, C, t, h, w). It decodes as a stream too."""

    def latent_frames(self, num_frames: int) -> int:
        """Latent frames of a film of so many frames; CodecError where it cannot have so many."""
        ...

    def num_frames(self, latent_frames: int) -> int:
        """Frames of a film of so many latent frames."""
        ...

    def decode_frames(self, latent: Tensor) -> Iterator[Tensor]:
        """The frames (3, H, W) of one latent (C, t, h, w), one after another, in memory that does not grow with t."""
        ...


class FrameCodec:
    """A picture VAE on each frame by itself, as in Lumina-T2X (arXiv 2405.05945, section 2.1): t = T.

    Args:
        pictures: The picture VAE.

    Example:
        >>> from lumina_video.modality import MODALITY
        >>> codec = FrameCodec.from_pretrained(MODALITY.models["nano"] / "vae")
        >>> codec.encode(torch.zeros(1, 3, 8, 64, 96)).shape
        torch.Size([1, 8, 8, 8, 12])
    """

    library_class = PictureCodec.library_class

    def __init__(self, pictures: PictureCodec) -> None:
        self.pictures = pictures
        self.latent_channels, self.stride = pictures.latent_channels, pictures.stride
        self.scale, self.shift = pictures.scale, pictures.shift

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> FrameCodec:
        """Load a diffusers AutoencoderKL folder; see `PictureCodec.from_pretrained`."""
        return cls(PictureCodec.from_pretrained(folder, dtype=dtype))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the picture VAE as diffusers reads it."""
        self.pictures.save_pretrained(folder)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> FrameCodec:
        """This codec, with its weights moved to a device, a dtype or both."""
        self.pictures.to(device=device, dtype=dtype)
        return self

    def latent_frames(self, num_frames: int) -> int:
        """As many as frames."""
        return num_frames

    def num_frames(self, latent_frames: int) -> int:
        """As many as latent frames."""
        return latent_frames

    def encode(self, media: Tensor) -> Tensor:
        """Latents (B, C, T, h, w) of films (B, 3, T, H, W) in [-1, 1], one frame at a time."""
        _check_film(media)
        return torch.stack([self.pictures.encode(frames) for frames in media.unbind(2)], dim=2)

    def decode(self, latents: Tensor) -> Tensor:
        """Films (B, 3, T, H, W) of latents (B, C, T, h, w)."""
        return torch.stack([self.pictures.decode(frames) for frames in latents.unbind(2)], dim=2)

    def decode_frames(self, latent: Tensor) -> Iterator[Tensor]:
        """The frames (3, H, W) of one latent (C, T, h, w)."""
        return (self.pictures.decode(frame[None])[0] for frame in latent.unbind(1))


class CausalCodec:
    """Wan's causal video VAE: the first frame is one latent frame, every four more another, so pictures are films too.

    ``latent = (z - mean) / deviation``, by the means and deviations of each channel that its configuration gives.

    Args:
        vae: The network; put into eval mode, its parameters frozen.

    Attributes:
        latent_channels: C.
        stride: Media elements per latent along (T, H, W): (4, 8, 8).
        scale: 1; the units are those of each channel.
        shift: 0.

    Raises:
        CodecError: The VAE has other factors.
    """

    library_class = ("diffusers", "AutoencoderKLWan")

    def __init__(self, vae: AutoencoderKLWan) -> None:
        config = vae.config
        factors = (config.scale_factor_temporal, config.scale_factor_spatial)
        if factors != (4, 8) or config.patch_size is not None:
            raise CodecError(f"expected a video VAE of factors 4 in time and 8 in space, got {factors}")
        self.vae = vae.eval().requires_grad_(False)
        self.latent_channels: int = config.z_dim
        self.stride = (4, 8, 8)
        self.scale, self.shift = 1.0, 0.0
        self._mean = torch.tensor(config.latents_mean)[:, None, None, None]
        self._deviation = torch.tensor(config.latents_std)[:, None, None, None]

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> CausalCodec:
        """Load a diffusers AutoencoderKLWan folder.

        Args:
            folder: Holds config.json and safetensors weights.
            dtype: Of the weights, and of the computation.

        Returns:
            The codec, on the CPU.

        Raises:
            CheckpointError: If the folder or its weights are missing or damaged.
        """
        from diffusers import AutoencoderKLWan  # takes seconds to import: only where it is needed

        config = read_config(folder)
        with torch.device("meta"):
            vae = AutoencoderKLWan.from_config(config)
        load_into(vae, read_state_dict(folder), source=str(folder))
        torch.nn.Module.to(vae, dtype=dtype)
        return cls(vae)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and safetensors weights, as diffusers reads them."""
        self.vae.save_pretrained(folder)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> CausalCodec:
        """This codec, with its weights moved to a device, a dtype or both."""
        torch.nn.Module.to(self.vae, device=device, dtype=dtype)
        return self

    def latent_frames(self, num_frames: int) -> int:
        """1 + (T - 1) / 4; CodecError unless T is one more than a multiple of 4."""
        if num_frames % 4 != 1:
            below = max(1, (num_frames - 1) // 4 * 4 + 1)
            raise CodecError(
                f"this model's films have 1, 5, 9, ... frames, got {num_frames}; "
                f"the nearest are {below} and {below + 4}"
            )
        return 1 + (num_frames - 1) // 4

    def num_frames(self, latent_frames: int) -> int:
        """1 + 4 (t - 1)."""
        return 1 + 4 * (latent_frames - 1)

    @torch.no_grad()
    def encode(self, media: Tensor) -> Tensor:
        """Latents (B, C, t, h, w) of films (B, 3, T, H, W) in [-1, 1], the mean of the posterior."""
        _check_film(media)
        self.latent_frames(media.shape[2])
        z = self.vae.encode(media.to(self.vae.dtype)).latent_dist.mode().float()
        return ((z - self._mean.to(z.device)) / self._deviation.to(z.device)).to(media.dtype)

    def decode(self, latents: Tensor) -> Tensor:
        """Films (B, 3, T, H, W) of latents (B, C, t, h, w)."""
        return torch.stack([torch.stack(list(self.decode_frames(latent)), dim=1) for latent in latents])

    @torch.no_grad()
    def decode_frames(self, latent: Tensor) -> Iterator[Tensor]:
        """The frames (3, H, W) of one latent (C, t, h, w): a latent frame at a time, on the network's own caches."""
        from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

        z = latent.float() * self._deviation.to(latent.device) + self._mean.to(latent.device)
        z = self.vae.post_quant_conv(z[None].to(device=self.vae.device, dtype=self.vae.dtype))
        caches = [None] * sum(isinstance(module, WanCausalConv3d) for module in self.vae.decoder.modules())
        for number in range(z.shape[2]):
            decoded = self.vae.decoder(
                z[:, :, number : number + 1], feat_cache=caches, feat_idx=[0], first_chunk=number == 0
            )
            for frame in decoded[0].clamp(-1, 1).unbind(1):
                yield frame.to(latent.dtype)


def load_codec(folder: str | Path, *, dtype: torch.dtype = torch.float32) -> FilmCodec:
    """The codec that a folder holds.

    Args:
        folder: A diffusers VAE.
        dtype: Of the weights.

    Returns:
        A `FrameCodec` or a `CausalCodec`.

    Raises:
        CheckpointError: The folder is missing, damaged, or of another kind.
    """
    kind = read_config(folder).get("_class_name")
    if kind == "AutoencoderKLWan":
        return CausalCodec.from_pretrained(folder, dtype=dtype)
    if kind == "AutoencoderKL":
        return FrameCodec.from_pretrained(folder, dtype=dtype)
    raise CheckpointError(f"expected a VAE of class AutoencoderKL or AutoencoderKLWan in {folder}, got {kind}")


def to_pixels(frames: Tensor) -> Tensor:
    """8-bit frames (T, H, W, 3) as one film (1, 3, T, H, W) in [-1, 1]."""
    return rearrange(pixels.to_pixels(frames), "t c h w -> 1 c t h w")


def _check_film(media: Tensor) -> None:
    """Raise unless pixels are floating-point films whose sides are multiples of 8."""
    if media.ndim != 5 or media.shape[1] != 3 or not media.is_floating_point():
        raise CodecError(
            f"expected floating-point films (B, 3, T, H, W) in [-1, 1], got {media.dtype} {tuple(media.shape)}"
        )
    height, width = media.shape[-2:]
    if height % 8 or width % 8:
        nearest = "x".join(str(max(1, round(side / 8)) * 8) for side in (width, height))
        raise CodecError(
            f"expected a film whose sides are multiples of 8 pixels, got {width}x{height}; the nearest is {nearest}"
        )
