"""LayerNorm without affine, with modulation, in plain PyTorch, and its gradient in closed form."""

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from flagdit_kernels.ops.rms_norm_modulate.reference import modulate
from flagdit_kernels.segments import segment_sum, token_view, value_view, wide_dtype


def forward(
    x_LD: Tensor, shift_BD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> Tensor:
    """``LN(x) * (1 + scale) + shift``; layer_norm computes in float32 and rounds to x's dtype first."""
    normed_LD = layer_norm(x_LD, x_LD.shape[-1:], eps=eps)
    return modulate(normed_LD, shift_BD, 1 + scale_BD.to(x_LD.dtype), cu_seqlens, max_seqlen)


def backward(
    dout_LD: Tensor, x_LD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, shift and scale; the statistics are computed again from x."""
    wide = wide_dtype(x_LD)
    x_wide, dout_LD = x_LD.to(wide), dout_LD.to(wide)
    factor = value_view(1 + scale_BD.to(wide), x_LD.shape[0], cu_seqlens, max_seqlen)
    dnormed_LD = (token_view(dout_LD, cu_seqlens, max_seqlen) * factor).reshape(x_LD.shape)
    dx_LD, normed_LD = layer_norm_backward(dnormed_LD, x_wide, eps)
    dshift_BD = segment_sum(dout_LD, cu_seqlens, max_seqlen)
    dscale_BD = segment_sum(dout_LD * normed_LD, cu_seqlens, max_seqlen)
    return dx_LD.to(x_LD.dtype), dshift_BD.to(scale_BD.dtype), dscale_BD.to(scale_BD.dtype)


def layer_norm_backward(dnormed_LD: Tensor, x_LD: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The gradient of a LayerNorm's input before any affine, and the normalised input."""
    centred_LD = x_LD - x_LD.mean(-1, keepdim=True)
    rstd_L1 = torch.rsqrt(centred_LD.square().mean(-1, keepdim=True) + eps)
    normed_LD = centred_LD * rstd_L1
    mean_L1, slope_L1 = dnormed_LD.mean(-1, keepdim=True), (dnormed_LD * normed_LD).mean(-1, keepdim=True)
    return rstd_L1 * (dnormed_LD - mean_L1 - normed_LD * slope_L1), normed_LD
