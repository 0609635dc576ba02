"""What the network reads from captions: the same at every time, so that a sampler computes it once for all steps.

Legend: B latents, M text tokens, G key heads, H head width, A conditioning width.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ReadCaption:
    """Captions as the network's blocks attend to them.

    Attributes:
        pooled_BA: What they add to the vector that modulates every block.
        mask_BM: True at valid text tokens.
        keys_values: Keys and values of each block, (B, M, G, H) both.
    """

    pooled_BA: Tensor
    mask_BM: Tensor
    keys_values: tuple[tuple[Tensor, Tensor], ...]

    def __len__(self) -> int:
        return len(self.mask_BM)

    def first(self, count: int) -> Self:
        """The first so many captions."""
        if count == len(self):
            return self
        return type(self)(
            pooled_BA=self.pooled_BA[:count],
            mask_BM=self.mask_BM[:count],
            keys_values=tuple((k_BMGH[:count], v_BMGH[:count]) for k_BMGH, v_BMGH in self.keys_values),
        )
