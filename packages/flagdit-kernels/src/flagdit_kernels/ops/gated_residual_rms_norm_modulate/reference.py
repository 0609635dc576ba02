"""Gated residual followed by RMSNorm with modulation, in plain PyTorch."""

from torch import Tensor

from flagdit_kernels.ops.gated_residual.reference import forward as gated_residual
from flagdit_kernels.ops.rms_norm_modulate.reference import forward as rms_norm_modulate


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
    residual_LD = gated_residual(x_LD, y_LD, gate_BD, cu_seqlens, max_seqlen)
    return residual_LD, rms_norm_modulate(residual_LD, weight_D, shift_BD, scale_BD, cu_seqlens, max_seqlen, eps)
