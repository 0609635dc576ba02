"""What a pipeline asks of the model that turns media into latents and back."""

from pathlib import Path
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


class Codec(Protocol):
    """Media to latents and back; units live here and nowhere else.

    Attributes:
        latent_channels: C of a latent ``(C, T, H, W)``.
        stride: Media elements per latent element along (time, height, width).
        scale: Latents are ``(raw - shift) * scale``, so that the network sees about unit variance.
        shift: See ``scale``.
        library_class: (library, class) of what its folder holds, as ``model_index.json`` names parts.
    """

    @property
    def latent_channels(self) -> int:
        """C of a latent."""
        ...

    @property
    def stride(self) -> tuple[int, int, int]:
        """Media elements per latent element along (time, height, width)."""
        ...

    @property
    def scale(self) -> float:
        """Factor that gives latents about unit variance."""
        ...

    @property
    def shift(self) -> float:
        """Mean of the raw latents."""
        ...

    @property
    def library_class(self) -> tuple[str, str]:
        """(library, class) of what the folder holds."""
        ...

    def encode(self, media: Tensor) -> Tensor:
        """Scaled latents of a batch of media, whose values lie in [-1, 1]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Media in [-1, 1], but for small excursions, of a batch of scaled latents."""
        ...

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same codec elsewhere or in another precision."""
        ...

    def save_pretrained(self, folder: Path) -> None:
        """Write the codec as one component folder."""
        ...


def enlarged(codec: Codec, latents: Tensor, height: int, width: int, *, num_frames: int | None = None) -> Tensor:
    """Latents of the same pictures with other sides, interpolated as pixels, or of the same films, slower too.

    Args:
        codec: Of media (B, 3, H, W) or (B, 3, T, H, W).
        latents: (B, C, h, w) or (B, C, t, h, w).
        height: Of the new latents.
        width: Likewise.
        num_frames: Of the new films; each old frame is shown until the next one is due.

    Returns:
        The new latents.
    """
    media, (_, rows, columns) = codec.decode(latents), codec.stride
    size = (height * rows, width * columns)
    if media.ndim == 4:
        return codec.encode(F.interpolate(media, size=size, mode="bicubic").clamp(-1, 1))
    before = media.shape[2]
    shown = [number * before // num_frames for number in range(num_frames)] if num_frames else range(before)
    frames = rearrange(media[:, :, list(shown)], "b c t h w -> (b t) c h w")
    frames = F.interpolate(frames, size=size, mode="bicubic").clamp(-1, 1)
    return codec.encode(rearrange(frames, "(b t) c h w -> b c t h w", b=len(media)))
