"""Gated residual followed by RMSNorm with modulation, in plain PyTorch, and its gradient in closed form."""

from torch import Tensor

from flagdit_kernels.ops.gated_residual import reference as gated_residual
from flagdit_kernels.ops.rms_norm_modulate import reference as rms_norm_modulate


def forward(
    x_LD: Tensor,
    y_LD: Tensor,
    gate_BD: Tensor,
    weight_D: Tensor,
    shift_BD: Tensor,
    scale_BD: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """``r = x + gate * y`` and ``RMS(r) * weight * (1 + scale) + shift``."""
    residual_LD = gated_residual.forward(x_LD, y_LD, gate_BD, cu_seqlens, max_seqlen)
    normed_LD = rms_norm_modulate.forward(residual_LD, weight_D, shift_BD, scale_BD, cu_seqlens, max_seqlen, eps)
    return residual_LD, normed_LD


def backward(
    dresidual_LD: Tensor,
    dnormed_LD: Tensor,
    residual_LD: Tensor,
    y_LD: Tensor,
    gate_BD: Tensor,
    weight_D: Tensor,
    scale_BD: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, y, gate, weight, shift and scale."""
    dx_LD, dweight_D, dshift_BD, dscale_BD = rms_norm_modulate.backward(
        dnormed_LD, residual_LD, weight_D, scale_BD, cu_seqlens, max_seqlen, eps
    )
    dx_LD = dx_LD + dresidual_LD
    dy_LD, dgate_BD = gated_residual.backward(dx_LD, y_LD, gate_BD, cu_seqlens, max_seqlen)
    return dx_LD, dy_LD, dgate_BD, dweight_D, dshift_BD, dscale_BD
