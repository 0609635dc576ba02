"""Gated attention to the text, added to the attention output, in plain PyTorch, and its gradient in closed form."""

from itertools import pairwise

import torch
from einops import rearrange, reduce
from torch import Tensor

from flagdit_kernels.ops.attention.reference import batched_attention, expand_heads, heads_first
from flagdit_kernels.segments import find_runs, join_tokens, split_segments, split_tokens, wide_dtype


def forward(
    out_LNH: Tensor,
    q_LNH: Tensor,
    k_BTGH: Tensor,
    v_BTGH: Tensor,
    gate_N: Tensor,
    mask_BT: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> Tensor:
    """``out + tanh(gate) * softmax(q k^T / sqrt(H), where mask) v``; a fully masked text adds nothing."""
    softmax_scale, dtype = q_LNH.shape[-1] ** -0.5, q_LNH.dtype
    present_B1 = mask_BT.any(-1, keepdim=True)
    mask_BT = mask_BT | ~present_B1  # without any key the softmax is NaN, which the factor 0 below would not remove
    factor_BN = (present_B1 * torch.tanh(gate_N)).to(out_LNH.dtype)
    runs, outputs = find_runs(q_LNH.shape[0], cu_seqlens, max_seqlen), []
    tokens = (split_tokens(x, runs) for x in (out_LNH, q_LNH))
    texts = (split_segments(x, runs) for x in (k_BTGH.to(dtype), v_BTGH.to(dtype), mask_BT, factor_BN))
    for out, q, k, v, mask, factor in zip(*tokens, *texts, strict=True):
        text = batched_attention(heads_first(q), heads_first(k), heads_first(v), softmax_scale, mask)
        outputs.append(torch.addcmul(out, factor[:, None, :, None], heads_first(text).to(out.dtype)))
    return join_tokens(outputs)


def text_attention(q_LNH: Tensor, k_TGH: Tensor, v_TGH: Tensor, mask_T: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (N, L, T), all 0 for a fully masked text, and the attention (N, L, H), of one segment."""
    groups = q_LNH.shape[1] // k_TGH.shape[1]
    k_NTH, v_NTH = expand_heads(k_TGH, groups), expand_heads(v_TGH, groups)
    scores_NLT = rearrange(q_LNH, "l n h -> n l h") @ k_NTH.mT * q_LNH.shape[-1] ** -0.5
    probs_NLT = scores_NLT.masked_fill(~mask_T, float("-inf")).softmax(-1).masked_fill(~mask_T, 0.0)
    return probs_NLT, probs_NLT @ v_NTH


def backward(
    dout_LNH: Tensor,
    q_LNH: Tensor,
    k_BTGH: Tensor,
    v_BTGH: Tensor,
    gate_N: Tensor,
    mask_BT: Tensor,
    cu_seqlens: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and gate, in float32, segment by segment; that of ``out`` is ``dout`` itself."""
    wide, groups = wide_dtype(q_LNH), q_LNH.shape[1] // k_BTGH.shape[2]
    dq_LNH, dk_BTGH, dv_BTGH = (torch.zeros_like(x, dtype=wide) for x in (q_LNH, k_BTGH, v_BTGH))
    dfactor_N = torch.zeros_like(gate_N, dtype=wide)
    factor_N11 = torch.tanh(gate_N.to(wide))[:, None, None]
    bounds: list[int] = cu_seqlens.tolist()
    for b, (start, end) in enumerate(pairwise(bounds)):
        q_seg, k, v = q_LNH[start:end].to(wide), k_BTGH[b].to(wide), v_BTGH[b].to(wide)
        probs_NLT, text_NLH = text_attention(q_seg, k, v, mask_BT[b])
        dout = rearrange(dout_LNH[start:end].to(wide), "l n h -> n l h")
        dfactor_N += (dout * text_NLH).sum((1, 2))
        dtext = dout * factor_N11
        delta_NL1 = (dtext * text_NLH).sum(-1, keepdim=True)
        dscores_NLT = probs_NLT * (dtext @ expand_heads(v, groups).mT - delta_NL1) * q_LNH.shape[-1] ** -0.5
        dq_LNH[start:end] = rearrange(dscores_NLT @ expand_heads(k, groups), "n l h -> l n h")
        q_NLH = rearrange(q_seg, "l n h -> n l h")
        dk_BTGH[b] = reduce(dscores_NLT.mT @ q_NLH, "(g r) t h -> t g h", "sum", r=groups)
        dv_BTGH[b] = reduce(probs_NLT.mT @ dtext, "(g r) t h -> t g h", "sum", r=groups)
    dgate_N = dfactor_N * (1 - torch.tanh(gate_N.to(wide)) ** 2)
    return (
        dq_LNH.to(q_LNH.dtype),
        dk_BTGH.to(k_BTGH.dtype),
        dv_BTGH.to(v_BTGH.dtype),
        dgate_N.to(gate_N.dtype),
    )
