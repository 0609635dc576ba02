"""Gated residual in plain PyTorch."""

import torch
from torch import Tensor

from flagdit_kernels.segments import token_view, value_view


def forward(x_LD: Tensor, y_LD: Tensor, gate_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``x + gate * y``."""
    num_tokens = x_LD.shape[0]
    x = token_view(x_LD, cu_seqlens, max_seqlen)
    y = token_view(y_LD, cu_seqlens, max_seqlen)
    gate = value_view(gate_BD, num_tokens, cu_seqlens, max_seqlen)
    return torch.addcmul(x, gate.to(x.dtype), y.to(x.dtype)).view(x_LD.shape)
