"""Packed non-causal attention in plain PyTorch, and its gradient in closed form.

Neighbouring segments of one length are one batched call, without padding. Where not all are equal, the lengths are read
on the host.
"""

from functools import partial
from itertools import pairwise

import torch
from einops import rearrange, reduce
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from flagdit_kernels.segments import find_runs, join_tokens, split_segments, split_tokens, wide_dtype

# On a CPU the half-precision backward of scaled_dot_product_attention dwarfs its forward. Plain matmul, softmax,
# matmul is faster up to some hundreds of tokens (docs/performance.md), but holds the probabilities of all pairs.
MAX_EXPLICIT_KEYS = 512
# Scores held at once where they are held in float32, of all heads: 64 MiB, whatever the length.
MAX_SCORES = 2**24


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
    ratio_B = None if segment_scale_B is None else segment_scale_B.to(wide_dtype(q_LNH)) / softmax_scale
    runs, outputs = find_runs(q_LNH.shape[0], cu_seqlens, max_seqlen), []
    ratios = [None] * len(runs) if ratio_B is None else split_segments(ratio_B, runs)
    for ratio, *tokens in zip(ratios, *(split_tokens(x, runs) for x in (q_LNH, k_LGH, v_LGH)), strict=True):
        q, k, v = (heads_first(x) for x in tokens)
        if ratio is not None:
            q = (q * ratio[:, None, None, None]).to(q.dtype)
        outputs.append(heads_first(batched_attention(q, k, v, softmax_scale)))
    return join_tokens(outputs)


def heads_first(x_BLNH: Tensor) -> Tensor:
    """``(B, N, L, H)``, and back again."""
    return x_BLNH.transpose(1, 2)


def batched_attention(
    q_BNLH: Tensor, k_BGKH: Tensor, v_BGKH: Tensor, softmax_scale: float, mask_BK: Tensor | None = None
) -> Tensor:
    """Attention over a dense batch, by whichever plain form is faster for this device, dtype and length."""
    mask = None if mask_BK is None else mask_BK[:, None, None]
    ratio = q_BNLH.shape[1] // k_BGKH.shape[1]
    if _explicit_is_faster(q_BNLH, k_BGKH, v_BGKH):
        q_BGRH = rearrange(q_BNLH * softmax_scale, "b (g r) l h -> b g (r l) h", r=ratio)
        scores_BGRK = q_BGRH @ k_BGKH.mT
        if mask is not None:
            scores_BGRK = scores_BGRK.masked_fill(~mask, float("-inf"))
        out_BGRH = scores_BGRK.softmax(-1).to(v_BGKH.dtype) @ v_BGKH
        return rearrange(out_BGRH, "b g (r l) h -> b (g r) l h", r=ratio).to(q_BNLH.dtype)
    sdpa = partial(scaled_dot_product_attention, attn_mask=mask, scale=softmax_scale, enable_gqa=ratio > 1)
    return sdpa(q_BNLH, k_BGKH, v_BGKH).to(q_BNLH.dtype)


def _explicit_is_faster(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether this is training in half precision on a CPU over few keys."""
    if q.device.type != "cpu" or k.shape[-2] > MAX_EXPLICIT_KEYS:
        return False
    half = q.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled("cpu")
    return half and torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)


def forward_with_lse(
    q_LNH: Tensor,
    k_LGH: Tensor,
    v_LGH: Tensor,
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention and ``log sum_k exp(scale * q k^T)`` as (N, L), over chunks of queries, computed in float32."""
    wide = wide_dtype(q_LNH)
    groups = q_LNH.shape[1] // k_LGH.shape[1]
    bounds: list[int] = cu_seqlens.tolist()
    outputs, lses = [torch.empty_like(q_LNH[:0])], [q_LNH.new_empty(q_LNH.shape[1], 0, dtype=wide)]
    for index, (start, end) in enumerate(pairwise(bounds)):
        scale = softmax_scale if segment_scale_B is None else segment_scale_B[index].to(wide)
        k, v = (expand_heads(x[start:end].to(wide), groups) for x in (k_LGH, v_LGH))
        for q_chunk in torch.split(q_LNH[start:end].to(wide), _query_chunk(q_LNH.shape[1], end - start)):
            scores_NLK = rearrange(q_chunk, "l n h -> n l h") @ k.mT * scale
            lses.append(scores_NLK.logsumexp(-1))
            outputs.append(rearrange(scores_NLK.softmax(-1) @ v, "n l h -> l n h").to(q_LNH.dtype))
    return torch.cat(outputs), torch.cat(lses, dim=1)


def _query_chunk(num_heads: int, num_keys: int) -> int:
    """Queries whose scores are held at once."""
    return max(1, MAX_SCORES // max(1, num_heads * num_keys))


def expand_heads(x_KGH: Tensor, groups: int) -> Tensor:
    """Heads first, each key head repeated for its group of query heads: ``(N, K, H)``."""
    return rearrange(x_KGH, "k g h -> g k h").repeat_interleave(groups, dim=0)


def backward(
    dout_LNH: Tensor,
    dlse_NL: Tensor,
    q_LNH: Tensor,
    k_LGH: Tensor,
    v_LGH: Tensor,
    out_LNH: Tensor,
    lse_NL: Tensor,
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale_B: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v from the saved log-sum-exp, over chunks of queries, computed in float32."""
    wide = wide_dtype(q_LNH)
    groups = q_LNH.shape[1] // k_LGH.shape[1]
    dq_LNH, dk_LGH, dv_LGH = (torch.zeros_like(x, dtype=wide) for x in (q_LNH, k_LGH, v_LGH))
    bounds: list[int] = cu_seqlens.tolist()
    for index, (start, end) in enumerate(pairwise(bounds)):
        scale = softmax_scale if segment_scale_B is None else segment_scale_B[index].to(wide)
        k, v = (expand_heads(x[start:end].to(wide), groups) for x in (k_LGH, v_LGH))
        chunk = _query_chunk(q_LNH.shape[1], end - start)
        for first in range(start, end, chunk):
            rows = slice(first, min(first + chunk, end))
            q, dout, out = (rearrange(x[rows].to(wide), "l n h -> n l h") for x in (q_LNH, dout_LNH, out_LNH))
            probs_NLK = torch.exp(q @ k.mT * scale - lse_NL[:, rows, None].to(wide))
            delta_NL1 = (dout * out).sum(-1, keepdim=True) - dlse_NL[:, rows, None].to(wide)
            dscores_NLK = probs_NLK * (dout @ v.mT - delta_NL1) * scale
            dq_LNH[rows] = rearrange(dscores_NLK @ k, "n l h -> l n h")
            dk_LGH[start:end] += reduce(dscores_NLK.mT @ q, "(g r) k h -> k g h", "sum", r=groups)
            dv_LGH[start:end] += reduce(probs_NLK.mT @ dout, "(g r) k h -> k g h", "sum", r=groups)
    return dq_LNH.to(q_LNH.dtype), dk_LGH.to(k_LGH.dtype), dv_LGH.to(v_LGH.dtype)
