"""LayerNorm without affine, with adaptive modulation."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.layer_norm_modulate import reference


def layer_norm_modulate(
    x_LD: Tensor,
    shift_BD: Tensor,
    scale_BD: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    eps: float = 1e-6,
    backend: Backend = "auto",
) -> Tensor:
    """Return ``LN(x) * (1 + scale) + shift``."""
    resolve("layer_norm_modulate", backend, x_LD.device)
    return reference.forward(x_LD, shift_BD, scale_BD, cu_seqlens, max_seqlen, eps)
