"""Gated attention to the text."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.gated_cross_attention import reference


def gated_cross_attention(
    out_LNH: Tensor,
    q_LNH: Tensor,
    k_BTGH: Tensor,
    v_BTGH: Tensor,
    gate_N: Tensor,
    mask_BT: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """Return ``out + tanh(gate) * softmax(q k^T / sqrt(H), where mask) v``."""
    resolve("gated_cross_attention", backend, q_LNH.device)
    return reference.forward(out_LNH, q_LNH, k_BTGH, v_BTGH, gate_N, mask_BT, cu_seqlens, max_seqlen)
