"""KQ-norm and rotary embedding of the fused projection's output, in plain PyTorch."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from flagdit_kernels.segments import compute_dtype


def forward(
    qkv_LE: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos_LP: Tensor,
    sin_LP: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """q and k normalised over their full width and rotated, v as it came; heads split."""
    head_dim = 2 * cos_LP.shape[-1]
    q_width, kv_width = num_heads * head_dim, num_kv_heads * head_dim
    q_LE, k_LE, v_LE = qkv_LE.split([q_width, kv_width, kv_width], dim=-1)
    q_LNH = rotate(full_width_norm(q_LE, q_weight, q_bias, eps), cos_LP, sin_LP)
    k_LNH = rotate(full_width_norm(k_LE, k_weight, k_bias, eps), cos_LP, sin_LP)
    v_LNH = rearrange(v_LE, "l (n h) -> l n h", h=head_dim)
    return q_LNH, k_LNH, v_LNH


def full_width_norm(x_LE: Tensor, weight_E: Tensor | None, bias_E: Tensor | None, eps: float) -> Tensor:
    """LayerNorm with weight and bias, RMSNorm with a weight only, nothing without either; in x's dtype."""
    if weight_E is None:
        return x_LE
    x_wide = x_LE.to(compute_dtype(x_LE))
    if bias_E is not None:
        weight_E, bias_E = weight_E.to(x_wide.dtype), bias_E.to(x_wide.dtype)
        return F.layer_norm(x_wide, x_wide.shape[-1:], weight_E, bias_E, eps).to(x_LE.dtype)
    rstd_L1 = torch.rsqrt(x_wide.square().mean(-1, keepdim=True) + eps)
    return (x_wide * rstd_L1).to(x_LE.dtype) * weight_E.to(x_LE.dtype)


def rotate(x_LE: Tensor, cos_LP: Tensor, sin_LP: Tensor) -> Tensor:
    """Split heads and turn each adjacent pair of channels by its angle, in float32, back in x's dtype."""
    pairs_LNP2 = rearrange(x_LE.to(compute_dtype(x_LE)), "l (n p two) -> l n p two", p=cos_LP.shape[-1], two=2)
    even_LNP, odd_LNP = pairs_LNP2.unbind(-1)
    cos, sin = cos_LP.unsqueeze(1), sin_LP.unsqueeze(1)
    turned = torch.stack((even_LNP * cos - odd_LNP * sin, even_LNP * sin + odd_LNP * cos), dim=-1)
    return turned.flatten(-2).to(x_LE.dtype)
