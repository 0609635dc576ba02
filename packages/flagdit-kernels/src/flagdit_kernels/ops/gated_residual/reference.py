"""Gated residual in plain PyTorch, and its gradient in closed form."""

import torch
from torch import Tensor

from flagdit_kernels.segments import segment_sum, token_view, value_view, wide_dtype


def forward(x_LD: Tensor, y_LD: Tensor, gate_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``x + gate * y``."""
    x = token_view(x_LD, cu_seqlens, max_seqlen)
    y = token_view(y_LD.to(x_LD.dtype), cu_seqlens, max_seqlen)
    gate = value_view(gate_BD.to(x_LD.dtype), x_LD.shape[0], cu_seqlens, max_seqlen)
    return torch.addcmul(x, gate, y).reshape(x_LD.shape)


def backward(
    dout_LD: Tensor, y_LD: Tensor, gate_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int
) -> tuple[Tensor, Tensor]:
    """The gradients of y and gate; that of x is ``dout`` itself."""
    wide = wide_dtype(dout_LD)
    dout_LD = dout_LD.to(wide)
    gate = value_view(gate_BD.to(wide), dout_LD.shape[0], cu_seqlens, max_seqlen)
    dy_LD = (token_view(dout_LD, cu_seqlens, max_seqlen) * gate).reshape(dout_LD.shape)
    dgate_BD = segment_sum(dout_LD * y_LD.to(wide), cu_seqlens, max_seqlen)
    return dy_LD.to(y_LD.dtype), dgate_BD.to(gate_BD.dtype)
