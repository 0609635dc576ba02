"""KQ-norm and rotary embedding of the fused projection's output, in plain PyTorch, and its gradient in closed form."""

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from flagdit_kernels.ops.layer_norm_modulate.reference import layer_norm_backward
from flagdit_kernels.ops.rms_norm_modulate.reference import normalise
from flagdit_kernels.segments import wide_dtype


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
    """Queries and keys normalised over their full width and rotated, values as they came; heads split."""
    head_dim = 2 * cos_LP.shape[-1]
    q_width, kv_width = num_heads * head_dim, num_kv_heads * head_dim
    q_LE, k_LE, v_LE = torch.split(qkv_LE, [q_width, kv_width, kv_width], dim=-1)
    q_LNH = rotate(full_width_norm(q_LE, q_weight, q_bias, eps), cos_LP, sin_LP)
    k_LGH = rotate(full_width_norm(k_LE, k_weight, k_bias, eps), cos_LP, sin_LP)
    return q_LNH, k_LGH, v_LE.unflatten(-1, (num_kv_heads, head_dim))


def full_width_norm(x_LD: Tensor, weight_D: Tensor | None, bias_D: Tensor | None, eps: float) -> Tensor:
    """LayerNorm with weight and bias, RMSNorm with a weight only, nothing without either; in x's dtype."""
    if weight_D is None:
        return x_LD
    wide = wide_dtype(x_LD)
    if bias_D is None:
        return normalise(x_LD.to(wide), eps).to(x_LD.dtype) * weight_D.to(x_LD.dtype)
    weight_D, bias_D = weight_D.to(wide), bias_D.to(wide)
    # On a CPU layer_norm takes half precision beside float32 parameters, but sums their gradients in half precision.
    x_wide = x_LD if x_LD.device.type == "cpu" and not torch.is_grad_enabled() else x_LD.to(wide)
    return layer_norm(x_wide, x_LD.shape[-1:], weight_D, bias_D, eps).to(x_LD.dtype)


def rotate(x_LD: Tensor, cos_LP: Tensor, sin_LP: Tensor) -> Tensor:
    """Split heads and turn each adjacent pair of channels by its angle, in float32, back in x's dtype.

    Complex numbers are faster on a CPU, but the compiler cannot fuse them.
    """
    wide = wide_dtype(x_LD)
    pairs_LNP2 = x_LD.to(wide).contiguous().unflatten(-1, (-1, cos_LP.shape[-1], 2))
    cos, sin = cos_LP.to(wide).unsqueeze(1), sin_LP.to(wide).unsqueeze(1)
    if torch.compiler.is_compiling():
        even, odd = pairs_LNP2.unbind(-1)
        turned_LNP2 = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    else:
        turned_LNP2 = torch.view_as_real(torch.view_as_complex(pairs_LNP2) * torch.complex(cos, sin))
    return turned_LNP2.flatten(-2).to(x_LD.dtype)


def backward(
    dq_LNH: Tensor,
    dk_LGH: Tensor,
    dv_LGH: Tensor,
    qkv_LE: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos_LP: Tensor,
    sin_LP: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of qkv and of the four norm parameters (None for those that are)."""
    q_LE, k_LE, _ = torch.split(qkv_LE, [x.shape[1] * x.shape[2] for x in (dq_LNH, dk_LGH, dv_LGH)], dim=-1)
    wide = wide_dtype(qkv_LE)
    dq_LE = rotate(dq_LNH.to(wide).flatten(1), cos_LP, -sin_LP).flatten(1)
    dk_LE = rotate(dk_LGH.to(wide).flatten(1), cos_LP, -sin_LP).flatten(1)
    dq_LE, dq_weight, dq_bias = full_width_norm_backward(dq_LE, q_LE, q_weight, q_bias, eps)
    dk_LE, dk_weight, dk_bias = full_width_norm_backward(dk_LE, k_LE, k_weight, k_bias, eps)
    dqkv_LE = torch.cat((dq_LE, dk_LE, dv_LGH.flatten(1).to(wide)), dim=-1).to(qkv_LE.dtype)
    return dqkv_LE, dq_weight, dq_bias, dk_weight, dk_bias


def full_width_norm_backward(
    dout_LD: Tensor, x_LD: Tensor, weight_D: Tensor | None, bias_D: Tensor | None, eps: float
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The gradients of a norm's input (in dout's dtype), weight and bias."""
    if weight_D is None:
        return dout_LD, None, None
    x_LD = x_LD.to(dout_LD.dtype)
    dnormed_LD = dout_LD * weight_D.to(dout_LD.dtype)
    if bias_D is not None:
        dx_LD, normed_LD = layer_norm_backward(dnormed_LD, x_LD, eps)
        dweight_D = (dout_LD * normed_LD).sum(0)
        return dx_LD, dweight_D.to(weight_D.dtype), dout_LD.sum(0).to(bias_D.dtype)
    rstd_L1 = torch.rsqrt(x_LD.square().mean(-1, keepdim=True) + eps)
    normed_LD = x_LD * rstd_L1
    dx_LD = rstd_L1 * (dnormed_LD - normed_LD * (dnormed_LD * normed_LD).mean(-1, keepdim=True))
    return dx_LD, (dout_LD * normed_LD).sum(0).to(weight_D.dtype), None
