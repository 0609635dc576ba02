"""Packed non-causal attention."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.attention import reference


def attention(
    q_LNH: Tensor,
    k_LGH: Tensor,
    v_LGH: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    softmax_scale: float | Tensor | None = None,
    return_lse: bool = False,
    backend: Backend = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Return ``softmax(scale * q k^T) v`` inside each segment, and on request the log-sum-exp."""
    resolve("attention", backend, q_LNH.device)
    scale = softmax_scale if isinstance(softmax_scale, float) else q_LNH.shape[-1] ** -0.5
    segment_scale_B = softmax_scale if isinstance(softmax_scale, Tensor) else None
    out_LNH = reference.forward(q_LNH, k_LGH, v_LGH, cu_seqlens, max_seqlen, scale, segment_scale_B)
    if not return_lse:
        return out_LNH
    return out_LNH, reference.log_sum_exp(q_LNH, k_LGH, cu_seqlens, max_seqlen, scale, segment_scale_B)
