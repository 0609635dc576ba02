"""What a block is conditioned on: the time, and a pooled caption or a label.

Legend: B latents, M text tokens, Y text width, A conditioning width.
"""

import math

import torch
from torch import Tensor, nn

from flagdit_core.model.config import CaptionPooling

FREQUENCIES = 256


class TimestepEmbedder(nn.Sequential):
    """The time as a vector: 128 cosines, 128 sines, and a two-layer network."""

    def __init__(self, size: int) -> None:
        super().__init__(nn.Linear(FREQUENCIES, size), nn.SiLU(), nn.Linear(size, size))

    def reset_parameters(self) -> None:
        """Small initial weights; biases stay as they are."""
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, timesteps_B: Tensor) -> Tensor:
        """Embeddings of times.

        Args:
            timesteps_B: (B,) float, as the network was trained to read them (0 to 1, or 0 to 1000).

        Returns:
            (B, A), the dtype of the weights.
        """
        half = FREQUENCIES // 2
        k = torch.arange(half, dtype=torch.float32, device=timesteps_B.device)
        frequencies = torch.exp(-math.log(10000) * k / half)
        angles = timesteps_B.float()[:, None] * frequencies
        x = torch.cat([angles.cos(), angles.sin()], dim=-1).to(next(self.parameters()).dtype)
        for layer in self:
            x = layer(x)
        return x


def pool_caption(caption_BMY: Tensor, mask_BM: Tensor, pooling: CaptionPooling) -> Tensor:
    """One vector for each caption.

    Args:
        caption_BMY: (B, M, Y) features.
        mask_BM: (B, M) bool, True at valid tokens; a row without any gives zeros.
        pooling: ``mean`` over valid tokens, or the ``last`` valid one.

    Returns:
        (B, Y), the dtype of the features.
    """
    if pooling == "mean":
        weights_BM = mask_BM.float()
        total_BY = torch.einsum("bmy,bm->by", caption_BMY.float(), weights_BM)
        return (total_BY / weights_BM.sum(1, keepdim=True).clamp_min(1)).to(caption_BMY.dtype)
    if pooling == "last":
        order_M = torch.arange(mask_BM.shape[1], device=mask_BM.device)
        last_B = torch.where(mask_BM, order_M, -1).amax(1)
        rows_B = torch.arange(len(mask_BM), device=mask_BM.device)
        return caption_BMY[rows_B, last_B.clamp_min(0)] * (last_B >= 0)[:, None]
    raise AssertionError(pooling)
