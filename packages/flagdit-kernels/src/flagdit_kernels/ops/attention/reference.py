"""Packed non-causal attention in plain PyTorch.

Equal segments are one batched call; unequal ones are a loop without padding, which reads ``cu_seqlens`` on the host.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from flagdit_kernels.segments import are_equal, compute_dtype

# On a CPU the backward of F.scaled_dot_product_attention takes longer than everything else in half precision; matmul, softmax,
# matmul is 6 times faster at 72 tokens and still 1.5 times at 1056, but holds the (N, N) probabilities.
MAX_EXPLICIT_KEYS = 512


def forward(
    q_LNH: Tensor,
    k_LGH: Tensor,
    v_LGH: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    softmax_scale: float,
    segment_scale_B: Tensor | None = None,
) -> Tensor:
    """``softmax(scale * q k^T) v`` inside each segment."""
    k_LGH, v_LGH = k_LGH.to(q_LNH.dtype), v_LGH.to(q_LNH.dtype)
    num_segments = cu_seqlens.shape[0] - 1
    if are_equal(q_LNH.shape[0], cu_seqlens, max_seqlen):
        q, k, v = (rearrange(x, "(b l) n h -> b n l h", b=num_segments) for x in (q_LNH, k_LGH, v_LGH))
        if segment_scale_B is not None:
            q = q * (segment_scale_B / softmax_scale).to(q.dtype)[:, None, None, None]
        return rearrange(batched_attention(q, k, v, softmax_scale), "b n l h -> (b l) n h")
    lengths: list[int] = cu_seqlens.diff().tolist()
    outputs = []
    for index, (q, k, v) in enumerate(zip(*(x.split(lengths) for x in (q_LNH, k_LGH, v_LGH)), strict=True)):
        if segment_scale_B is not None:
            q = q * (segment_scale_B[index] / softmax_scale).to(q.dtype)
        batched = (rearrange(x, "l n h -> 1 n l h") for x in (q, k, v))
        outputs.append(rearrange(batched_attention(*batched, softmax_scale), "1 n l h -> l n h"))
    return torch.cat(outputs)


def batched_attention(
    q_BNLH: Tensor, k_BGKH: Tensor, v_BGKH: Tensor, softmax_scale: float, mask_BK: Tensor | None = None
) -> Tensor:
    """Attention over a dense batch, by whichever plain form is faster for this device, dtype and length."""
    groups = q_BNLH.shape[1] // k_BGKH.shape[1]
    k_BNKH, v_BNKH = k_BGKH.repeat_interleave(groups, dim=1), v_BGKH.repeat_interleave(groups, dim=1)
    mask = None if mask_BK is None else mask_BK[:, None, None, :]
    half = q_BNLH.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled(q_BNLH.device.type)
    trains = torch.is_grad_enabled() and (q_BNLH.requires_grad or k_BGKH.requires_grad or v_BGKH.requires_grad)
    if q_BNLH.device.type == "cpu" and half and trains and k_BNKH.shape[2] <= MAX_EXPLICIT_KEYS:
        scores_BNLK = (q_BNLH * softmax_scale) @ k_BNKH.mT
        if mask is not None:
            scores_BNLK = scores_BNLK.masked_fill(~mask, float("-inf"))
        return (scores_BNLK.softmax(-1).to(v_BNKH.dtype) @ v_BNKH).to(q_BNLH.dtype)
    out_BNLH = F.scaled_dot_product_attention(q_BNLH, k_BNKH, v_BNKH, attn_mask=mask, scale=softmax_scale)
    return out_BNLH.to(q_BNLH.dtype)


def log_sum_exp(
    q_LNH: Tensor,
    k_LGH: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    softmax_scale: float,
    segment_scale_B: Tensor | None = None,
    *,
    query_chunk: int = 1024,
) -> Tensor:
    """``log sum_k exp(scale * q k^T)`` as (N, L) float32, over chunks of queries so that no (L, L) matrix is held."""
    groups = q_LNH.shape[1] // k_LGH.shape[1]
    wide = compute_dtype(q_LNH)
    bounds: list[int] = cu_seqlens.tolist()
    chunks = [q_LNH.new_empty(q_LNH.shape[1], 0, dtype=wide)]
    for index, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        scale = softmax_scale if segment_scale_B is None else segment_scale_B[index].to(wide)
        k_NKH = rearrange(k_LGH[start:end].to(wide), "k g h -> g k h").repeat_interleave(groups, dim=0)
        for q in q_LNH[start:end].to(wide).split(query_chunk):
            chunks.append((rearrange(q, "l n h -> n l h") @ k_NKH.mT * scale).logsumexp(-1))
    return torch.cat(chunks, dim=1).to(torch.float32)
