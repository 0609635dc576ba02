"""RMSNorm with modulation in plain PyTorch."""

import torch
from torch import Tensor

from flagdit_kernels.segments import compute_dtype, token_view, value_view


def forward(
    x_LD: Tensor, weight_D: Tensor, shift_BD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> Tensor:
    """``RMS(x) * weight * (1 + scale) + shift``; the norm in float32, rounded to x's dtype before the weight."""
    x_wide = x_LD.to(compute_dtype(x_LD))
    rstd_L1 = torch.rsqrt(x_wide.square().mean(-1, keepdim=True) + eps)
    normed_LD = (x_wide * rstd_L1).to(x_LD.dtype) * weight_D.to(x_LD.dtype)
    return modulate(normed_LD, shift_BD, scale_BD, cu_seqlens, max_seqlen)


def modulate(x_LD: Tensor, shift_BD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``x * (1 + scale) + shift`` with one scale and shift per segment."""
    num_tokens = x_LD.shape[0]
    shift = value_view(shift_BD.to(x_LD.dtype), num_tokens, cu_seqlens, max_seqlen)
    scale = value_view(1 + scale_BD.to(x_LD.dtype), num_tokens, cu_seqlens, max_seqlen)
    return torch.addcmul(shift, token_view(x_LD, cu_seqlens, max_seqlen), scale).view(x_LD.shape)
