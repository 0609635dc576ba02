"""Networks that the core has no setting for: parts of a built Flag-DiT replaced, everything else left as it is.

Legend: B latents, L tokens of all of them packed, N tokens of one latent, M text tokens, D hidden, Y text width.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flagdit_core import FlagDiT
from flagdit_core.model.block import Attention, Block, Context
from flagdit_kernels import gated_residual, layer_norm_modulate

_SMALL = 0.02  # standard deviation of initial embeddings, as in the core


class LayerNormBlock(nn.Module):
    """A block with LayerNorm where Flag-DiT has RMSNorm; its other parts are those of the block it is made from.

    ``LN(x) * weight * (1 + scale) + shift``: the modulation's shift is the bias.

    Args:
        block: Not changed; its weights are shared.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.attention, self.feed_forward, self.modulation = block.attention, block.feed_forward, block.modulation
        self.attention_weight, self.ffn_weight = block.attention_norm.weight, block.ffn_norm.weight
        self.norm_eps = block.norm_eps

    def forward(self, x_LD: Tensor, context: Context, caption_kv: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The tokens after this block."""
        modulation_BD6 = self.modulation(F.silu(context.conditioning_BA))
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = modulation_BD6.chunk(6, dim=1)
        h_LD = self._norm(x_LD, self.attention_weight, shift_a, scale_a, context)
        h_LD = self.attention(h_LD, context, caption_kv)
        x_LD = gated_residual(x_LD, h_LD, gate_a, *context.segments, backend=context.backend)
        h_LD = self.feed_forward(self._norm(x_LD, self.ffn_weight, shift_f, scale_f, context), context)
        return gated_residual(x_LD, h_LD, gate_f, *context.segments, backend=context.backend)

    def _norm(self, x_LD: Tensor, weight_D: Tensor, shift_BD: Tensor, scale_BD: Tensor, context: Context) -> Tensor:
        factor_BD = weight_D * (1 + scale_BD)
        return layer_norm_modulate(
            x_LD, shift_BD, factor_BD - 1, *context.segments, eps=self.norm_eps, backend=context.backend
        )


class PositionedBlock(nn.Module):
    """A block that first adds a learnt vector to each token, one for each place in the sequence.

    Args:
        block: What the tokens go to then; its weights are shared.
        num_positions: Tokens of the longest latent.
        hidden_size: Width of a token.
    """

    def __init__(self, block: Block, *, num_positions: int, hidden_size: int) -> None:
        super().__init__()
        self.block = block
        # of three dimensions: what is a table of vectors, and no matrix, is AdamW's also where Muon has the matrices
        self.positions_1ND = nn.Parameter(torch.randn(1, num_positions, hidden_size) * _SMALL)

    @property
    def attention(self) -> Attention:
        """The block's, from which the network reads captions."""
        return self.block.attention

    def forward(self, x_LD: Tensor, context: Context, caption_kv: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The tokens after this block."""
        starts_B, lengths_B = context.cu_seqlens[:-1], context.cu_seqlens.diff()
        places_L = torch.arange(len(x_LD), device=x_LD.device) - starts_B.repeat_interleave(lengths_B)
        return self.block(x_LD + self.positions_1ND[0, places_L].to(x_LD.dtype), context, caption_kv)


def with_layer_norm(model: FlagDiT) -> None:
    """Replace each RMSNorm of the network by LayerNorm, in place; the text's too."""
    for index, module in enumerate(model.blocks):
        block = cast(Block, module)
        width = block.attention.caption_norm.normalized_shape
        setattr(block.attention, "caption_norm", nn.LayerNorm(width, eps=block.norm_eps, bias=False))  # noqa: B010 - of another type
        model.blocks[index] = LayerNormBlock(block)


def with_learnt_positions(model: FlagDiT, *, num_positions: int) -> None:
    """Add learnt absolute positions before the first block, in place; RoPE is taken away by the configuration.

    Args:
        model: The network.
        num_positions: Tokens of the longest latent.
    """
    first = cast(Block, model.blocks[0])
    model.blocks[0] = PositionedBlock(first, num_positions=num_positions, hidden_size=model.config.hidden_size)
