"""Gated residual."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.gated_residual import reference


def gated_residual(
    x_LD: Tensor, y_LD: Tensor, gate_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int, *, backend: Backend = "auto"
) -> Tensor:
    """Return ``x + gate * y``."""
    resolve("gated_residual", backend, x_LD.device)
    return reference.forward(x_LD, y_LD, gate_BD, cu_seqlens, max_seqlen)
