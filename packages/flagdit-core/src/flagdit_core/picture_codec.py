"""Pixels to latents and back: diffusers' AutoencoderKL behind a stateless, memory-bounded surface.

Shape legend: B batch, C latent channels, H and W height and width in pixels, h = H / 8 and w = W / 8 in latents.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flagdit_core.errors import CheckpointError, CodecError
from flagdit_core.model.checkpoint import load_into, read_config, read_state_dict

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

DOWNSAMPLING = 8
TILED_FROM = 1024
"""Pictures with a longer side than this are coded in tiles unless the caller says otherwise."""


class PictureCodec:
    """A picture VAE with factor 8, such as SDXL's; also of films and views, frame by frame.

    ``latent = (z - shift) * scale``, with z the VAE's own latent, so that latents have about unit variance.

    Args:
        vae: The network, which must halve the size three times; put into eval mode, its parameters frozen.
        scale: 1 / standard deviation of z; not 0.
        shift: Mean of z.
        tile_size: Side of a tile in pixels where a picture is coded in tiles; a multiple of 8.
        tile_overlap: Pixels that neighbouring tiles share and are blended over; a multiple of 8, below ``tile_size``.

    Attributes:
        latent_channels: C.
        stride: Pixels per latent along (T, H, W): (1, 8, 8).

    Raises:
        CodecError: The VAE's factor is not 8, the scale is 0, or the tiling is impossible.

    Example:
        >>> from diffusers import AutoencoderKL
        >>> kind = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
        >>> vae = AutoencoderKL(**kind, block_out_channels=(8,) * 4, norm_num_groups=4, latent_channels=4)
        >>> codec = PictureCodec(vae, scale=0.5, shift=0.0)
        >>> codec.encode(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 4, 8, 12])
    """

    library_class = ("diffusers", "AutoencoderKL")

    def __init__(
        self, vae: AutoencoderKL, scale: float, shift: float, *, tile_size: int = 512, tile_overlap: int = 128
    ) -> None:
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        if factor != DOWNSAMPLING:
            raise CodecError(f"expected a VAE that divides sizes by {DOWNSAMPLING}, got one that divides by {factor}")
        if scale == 0:
            raise CodecError("expected a scale (1 / standard deviation of the latents) other than 0, got 0")
        if tile_size % DOWNSAMPLING or tile_overlap % DOWNSAMPLING or not 0 <= tile_overlap < tile_size:
            raise CodecError(
                f"expected tile_size and tile_overlap to be multiples of {DOWNSAMPLING} with 0 <= overlap < size, "
                f"got {tile_size} and {tile_overlap}"
            )
        self.vae = vae.eval().requires_grad_(False)
        self._lay_out(torch.channels_last)
        self.latent_channels: int = vae.config.latent_channels
        self.stride = (1, DOWNSAMPLING, DOWNSAMPLING)
        self.scale = scale
        self.shift = shift
        self.tile_size = tile_size
        self.tile_overlap = tile_overlap

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> PictureCodec:
        """Load a diffusers AutoencoderKL folder.

        Args:
            folder: Holds config.json and safetensors weights.
            dtype: Of the weights, and of the computation.

        Returns:
            The codec, on the CPU; scale and shift are the configuration's scaling_factor and shift_factor.

        Raises:
            CheckpointError: If the folder or its weights are missing, damaged or of another kind.
            CodecError: If diffusers is not installed.
        """
        try:
            from diffusers import AutoencoderKL  # takes seconds to import: only where it is needed
        except ModuleNotFoundError as error:
            raise CodecError("picture VAEs need diffusers: pip install 'flagdit-core[pictures]'") from error

        config = read_config(folder)
        kind = config.get("_class_name")
        if kind != "AutoencoderKL":
            raise CheckpointError(f"expected a VAE of class AutoencoderKL in {folder}, got {kind}")
        with torch.device("meta"):
            vae = AutoencoderKL.from_config(config)
        load_into(vae, read_state_dict(folder), source=str(folder))
        torch.nn.Module.to(vae, dtype=dtype)  # diffusers' own warns at every cast
        return cls(vae, scale=vae.config.scaling_factor, shift=vae.config.shift_factor or 0.0)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json (with scale and shift) and safetensors weights, as diffusers reads them."""
        self.vae.register_to_config(scaling_factor=self.scale, shift_factor=self.shift)
        self._lay_out(torch.contiguous_format)  # safetensors stores no other
        try:
            self.vae.save_pretrained(folder)
        finally:
            self._lay_out(torch.channels_last)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> PictureCodec:
        """This codec, with its weights moved to a device, a dtype or both."""
        torch.nn.Module.to(self.vae, device=device, dtype=dtype)  # diffusers' own warns at every cast
        return self

    def _lay_out(self, memory_format: torch.memory_format) -> None:
        """Order the weights; with channels last a convolution takes a tenth to a third less time."""
        self.vae.to(memory_format=memory_format)

    @torch.no_grad()
    def encode(
        self,
        pixels: Tensor,
        *,
        sample_posterior: bool = False,
        generator: torch.Generator | None = None,
        tiled: bool | None = None,
    ) -> Tensor:
        """Latents of pictures.

        Args:
            pixels: (B, 3, H, W), floating point, in [-1, 1]; H and W divisible by 8.
            sample_posterior: Draw from the posterior instead of taking its mean.
            generator: Randomness of that draw; its device must be the VAE's.
            tiled: Encode in overlapping tiles, so that memory is bounded; None does so for sides past 1024 pixels.

        Returns:
            (B, C, H/8, W/8) on the VAE's device, in the dtype of ``pixels``, about unit variance.

        Raises:
            CodecError: If the shape, the dtype or a size does not fit.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
            raise CodecError(
                f"expected floating-point pixels (B, 3, H, W) in [-1, 1], got {pixels.dtype} {tuple(pixels.shape)}"
            )
        _check_size(*pixels.shape[-2:])
        moments = self._code(self._encode, pixels, DOWNSAMPLING, 1, tiled).float()
        z, log_variance = moments.chunk(2, dim=1)
        if sample_posterior:
            noise = torch.randn(z.shape, generator=generator, device=z.device)
            z = z + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise
        return ((z - self.shift) * self.scale).to(pixels.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor, *, tiled: bool | None = None) -> Tensor:
        """Pictures of latents.

        Args:
            latents: (B, C, h, w), floating point, as ``encode`` gives them.
            tiled: Decode in overlapping tiles, so that memory is bounded; None does so for sides past 1024 pixels.

        Returns:
            Pixels (B, 3, 8h, 8w) on the VAE's device, in the dtype of ``latents``, in [-1, 1] but for small excursions
            (not clamped).

        Raises:
            CodecError: If the shape or dtype does not fit.
        """
        if latents.ndim != 4 or latents.shape[1] != self.latent_channels or not latents.is_floating_point():
            raise CodecError(
                f"expected floating-point latents (B, {self.latent_channels}, h, w), "
                f"got {latents.dtype} {tuple(latents.shape)}"
            )
        z = latents.float() / self.scale + self.shift
        return self._code(self._decode, z, 1, DOWNSAMPLING, tiled).to(latents.dtype)

    def _encode(self, pixels: Tensor) -> Tensor:
        """Mean and log variance (B, 2C, h, w) of the posterior."""
        moments: Tensor = self.vae.encode(pixels).latent_dist.parameters
        return moments

    def _decode(self, z: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1]."""
        pixels: Tensor = self.vae.decode(z).sample
        return pixels

    def _code(
        self, network: Callable[[Tensor], Tensor], x: Tensor, in_stride: int, out_stride: int, tiled: bool | None
    ) -> Tensor:
        """``network(x)`` on the weights' device and in their dtype, whole or in tiles; strides are per latent."""
        x = x.to(device=self.vae.device, dtype=self.vae.dtype)
        height, width = x.shape[-2] // in_stride, x.shape[-1] // in_stride
        if tiled is None:
            tiled = max(height, width) * DOWNSAMPLING > TILED_FROM
        if not tiled:
            return network(x)
        tile, overlap = self.tile_size // DOWNSAMPLING, self.tile_overlap // DOWNSAMPLING
        total, weight = None, torch.zeros(height * out_stride, width * out_stride, device=x.device)
        for top, bottom in _spans(height, tile, overlap):
            for left, right in _spans(width, tile, overlap):
                tile_in = x[..., top * in_stride : bottom * in_stride, left * in_stride : right * in_stride]
                part = network(tile_in).float()
                if total is None:
                    total = part.new_zeros(*part.shape[:2], *weight.shape)
                window = _window(*part.shape[-2:], ramp=overlap * out_stride, device=x.device)
                rows = slice(top * out_stride, bottom * out_stride)
                columns = slice(left * out_stride, right * out_stride)
                total[..., rows, columns] += part * window
                weight[rows, columns] += window
        assert total is not None  # a checked size has at least one tile
        return total / weight


def _check_size(height: int, width: int) -> None:
    """Raise unless both sides are positive multiples of 8."""
    if height < 1 or width < 1 or height % DOWNSAMPLING or width % DOWNSAMPLING:
        nearest = "x".join(str(max(1, round(side / DOWNSAMPLING)) * DOWNSAMPLING) for side in (width, height))
        raise CodecError(
            f"expected a picture whose sides are multiples of {DOWNSAMPLING} pixels, got {width}x{height}; "
            f"the nearest is {nearest}"
        )


def _spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of tiles that cover ``length``; the last one is moved back rather than cut short."""
    if length <= tile:
        return [(0, length)]
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    return [(start, start + tile) for start in starts]


def _window(height: int, width: int, *, ramp: int, device: torch.device) -> Tensor:
    """Blending weights (height, width): 1 inside, falling linearly over ``ramp`` elements to the edges, never 0."""

    def profile(length: int) -> Tensor:
        position = torch.arange(length, device=device) + 0.5
        return (torch.minimum(position, length - position) / max(ramp, 1)).clamp(max=1)

    return torch.outer(profile(height), profile(width))
