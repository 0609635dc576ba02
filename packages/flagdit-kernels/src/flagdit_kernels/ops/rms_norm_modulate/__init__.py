"""RMSNorm with adaptive modulation."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.rms_norm_modulate import reference


def rms_norm_modulate(
    x_LD: Tensor,
    weight_D: Tensor,
    shift_BD: Tensor,
    scale_BD: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    eps: float = 1e-5,
    backend: Backend = "auto",
) -> Tensor:
    """Return ``RMS(x) * weight * (1 + scale) + shift``."""
    resolve("rms_norm_modulate", backend, x_LD.device)
    return reference.forward(x_LD, weight_D, shift_BD, scale_BD, cu_seqlens, max_seqlen, eps)
