"""What a pipeline asks of the model that turns media into latents and back."""

from pathlib import Path
from typing import Protocol, Self

import torch
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
