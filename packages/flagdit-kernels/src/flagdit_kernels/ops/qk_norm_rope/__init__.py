"""KQ-norm over the full width and interleaved rotary embedding."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.qk_norm_rope import reference


def qk_norm_rope(
    qkv_LE: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos_LP: Tensor,
    sin_LP: Tensor,
    *,
    num_heads: int,
    num_kv_heads: int,
    eps: float = 1e-5,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """Return q and k normalised over their full width and rotated, and v, with heads split."""
    resolve("qk_norm_rope", backend, qkv_LE.device)
    return reference.forward(qkv_LE, q_weight, q_bias, k_weight, k_bias, cos_LP, sin_LP, num_heads, num_kv_heads, eps)
