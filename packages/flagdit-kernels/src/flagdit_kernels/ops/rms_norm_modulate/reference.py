"""RMSNorm with modulation in plain PyTorch, and its gradient in closed form."""

import torch
from torch import Tensor

from flagdit_kernels.segments import segment_sum, token_view, value_view, wide_dtype


def forward(
    x_LD: Tensor, weight_D: Tensor, shift_BD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> Tensor:
    """``RMS(x) * weight * (1 + scale) + shift``; the norm in float32, rounded to x's dtype before the factors.

    The two factors are multiplied first, per segment: that is one pass over the tokens fewer, and two in backward.
    """
    normed_LD = normalise(x_LD.to(wide_dtype(x_LD)), eps).to(x_LD.dtype)
    factor_BD = weight_D.to(x_LD.dtype) * (1 + scale_BD.to(x_LD.dtype))
    return modulate(normed_LD, shift_BD, factor_BD, cu_seqlens, max_seqlen)


def normalise(x_LD: Tensor, eps: float) -> Tensor:
    """``x / sqrt(mean(x^2) + eps)``; the norm has a cheaper backward than the mean of squares."""
    norm_L1 = torch.linalg.vector_norm(x_LD, dim=-1, keepdim=True)
    return x_LD * torch.rsqrt(norm_L1**2 / x_LD.shape[-1] + eps)


def modulate(x_LD: Tensor, shift_BD: Tensor, factor_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``x * factor + shift`` with one factor and shift per segment."""
    shift = value_view(shift_BD.to(x_LD.dtype), x_LD.shape[0], cu_seqlens, max_seqlen)
    factor = value_view(factor_BD, x_LD.shape[0], cu_seqlens, max_seqlen)
    return torch.addcmul(shift, token_view(x_LD, cu_seqlens, max_seqlen), factor).reshape(x_LD.shape)


def backward(
    dout_LD: Tensor,
    x_LD: Tensor,
    weight_D: Tensor,
    scale_BD: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, weight, shift and scale; the statistics are computed again from x."""
    wide = wide_dtype(x_LD)
    x_wide, dout_LD = x_LD.to(wide), dout_LD.to(wide)
    weight_wide, factor_BD = weight_D.to(wide), 1 + scale_BD.to(wide)
    rstd_L1 = torch.rsqrt(x_wide.square().mean(-1, keepdim=True) + eps)
    normed_LD = x_wide * rstd_L1
    factor = value_view(weight_wide * factor_BD, x_LD.shape[0], cu_seqlens, max_seqlen)
    dnormed_LD = (token_view(dout_LD, cu_seqlens, max_seqlen) * factor).reshape(x_LD.shape)
    dx_LD = rstd_L1 * (dnormed_LD - normed_LD * (dnormed_LD * normed_LD).mean(-1, keepdim=True))
    dshift_BD = segment_sum(dout_LD, cu_seqlens, max_seqlen)
    dfactor_BD = segment_sum(dout_LD * normed_LD, cu_seqlens, max_seqlen)
    dweight_D, dscale_BD = (dfactor_BD * factor_BD).sum(0), dfactor_BD * weight_wide
    return (
        dx_LD.to(x_LD.dtype),
        dweight_D.to(weight_D.dtype),
        dshift_BD.to(scale_BD.dtype),
        dscale_BD.to(scale_BD.dtype),
    )
