"""Gated residual followed by RMSNorm with adaptive modulation."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.gated_residual_rms_norm_modulate import reference


def gated_residual_rms_norm_modulate(
    x_LD: Tensor,
    y_LD: Tensor,
    gate_BD: Tensor,
    weight_D: Tensor,
    shift_BD: Tensor,
    scale_BD: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    eps: float = 1e-5,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the residual ``r = x + gate * y`` and ``RMS(r) * weight * (1 + scale) + shift``."""
    resolve("gated_residual_rms_norm_modulate", backend, x_LD.device)
    return reference.forward(x_LD, y_LD, gate_BD, weight_D, shift_BD, scale_BD, cu_seqlens, max_seqlen, eps)
