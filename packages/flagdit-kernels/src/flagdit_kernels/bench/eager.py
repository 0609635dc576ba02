"""What a user would write without us, in plain PyTorch: each operator's own arguments, its own results.

Equal segments are one batch, as everyone has them; unequal ones are spread over the tokens, or looped over. Shape
suffixes: B segments, M tokens of each where they are equal, L of all, D hidden, N heads, H head width, T text tokens.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def rms_norm_modulate(
    x: Tensor, weight: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int
) -> Tensor:
    """RMSNorm, then the modulation."""
    return modulated(F.rms_norm(x, weight.shape, weight, eps=1e-5), shift, scale, cu_seqlens, max_seqlen)


def layer_norm_modulate(x: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """LayerNorm, then the modulation."""
    return modulated(F.layer_norm(x, x.shape[1:], eps=1e-6), shift, scale, cu_seqlens, max_seqlen)


def modulated(x_LD: Tensor, shift_BD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``x * (1 + scale) + shift`` with a row of each for each segment."""
    if _equal(x_LD, cu_seqlens, max_seqlen):
        x_BMD = rearrange(x_LD, "(b m) d -> b m d", m=max_seqlen)
        return rearrange(x_BMD * (1 + scale_BD[:, None]) + shift_BD[:, None], "b m d -> (b m) d")
    shift_LD, scale_LD = (_spread(value, cu_seqlens, len(x_LD)) for value in (shift_BD, scale_BD))
    return x_LD * (1 + scale_LD) + shift_LD


def gated_residual(x: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """The residual of DiT's code."""
    if _equal(x, cu_seqlens, max_seqlen):
        x_BMD, y_BMD = (rearrange(tokens, "(b m) d -> b m d", m=max_seqlen) for tokens in (x, y))
        return rearrange(x_BMD + gate[:, None] * y_BMD, "b m d -> (b m) d")
    return x + _spread(gate, cu_seqlens, len(x)) * y


def gated_residual_rms_norm_modulate(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> tuple[Tensor, Tensor]:
    """One after the other."""
    residual = gated_residual(x, y, gate, cu_seqlens, max_seqlen)
    return residual, rms_norm_modulate(residual, weight, shift, scale, cu_seqlens, max_seqlen)


def qk_norm_rope(
    qkv: Tensor,
    q_weight: Tensor,
    q_bias: Tensor,
    k_weight: Tensor,
    k_bias: Tensor,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Split, two LayerNorms, two rotations."""
    head_dim = 2 * cos.shape[1]
    q, k, v = qkv.split([num_heads * head_dim, num_kv_heads * head_dim, num_kv_heads * head_dim], dim=1)
    q = _turned(F.layer_norm(q, q_weight.shape, q_weight, q_bias), cos, sin)
    k = _turned(F.layer_norm(k, k_weight.shape, k_weight, k_bias), cos, sin)
    return q, k, rearrange(v, "l (n h) -> l n h", h=head_dim)


def swiglu(x: Tensor) -> Tensor:
    """As in LLaMA's code."""
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def sdpa(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_seqlen: int, *, lengths: Sequence[int] | None = None
) -> Tensor:
    """PyTorch's attention, one call for equal segments and one each for unequal ones; their lengths, if known."""
    return _each_segment(F.scaled_dot_product_attention, q, k, v, cu_seqlens, max_seqlen, lengths)


def softmax(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """Attention from its formula, which holds all scores."""
    return _each_segment(_explicit, q, k, v, cu_seqlens, max_seqlen, None)


def attention_of_rows(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_seqlen: int, *, rows: slice) -> Tensor:
    """The formula for some rows of the queries, over all keys of their segments.

    Args:
        q: Queries of these rows only.
        k: All keys.
        v: All values.
        cu_seqlens: Bounds of the segments in k.
        max_seqlen: Of k.
        rows: Where q's rows are among k's.

    Returns:
        The output of these rows.
    """
    outputs = []
    bounds: list[int] = cu_seqlens.tolist()
    for begin, end in pairwise(bounds):
        first, last = max(begin, rows.start), min(end, rows.stop)
        if first < last:
            q_NMH = rearrange(q[first - rows.start : last - rows.start], "m n h -> n m h")
            k_NMH, v_NMH = (rearrange(x[begin:end], "m n h -> n m h") for x in (k, v))
            outputs.append(rearrange(_explicit(q_NMH, k_NMH, v_NMH), "n m h -> m n h"))
    return torch.cat(outputs)


def gated_cross_attention(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    lengths: Sequence[int] | None = None,
) -> Tensor:
    """Masked attention to the text, its gate, and the sum; the segments' lengths, if known."""
    k_BNTH, v_BNTH = (rearrange(x, "b t n h -> b n t h") for x in (k, v))
    if _equal(q, cu_seqlens, max_seqlen):
        q_BNMH = rearrange(q, "(b m) n h -> b n m h", m=max_seqlen)
        text = F.scaled_dot_product_attention(q_BNMH, k_BNTH, v_BNTH, attn_mask=mask[:, None, None])
        return out + torch.tanh(gate)[:, None] * rearrange(text, "b n m h -> (b m) n h")
    pieces = q.split(list(lengths or cu_seqlens.diff().tolist()))
    texts = [
        F.scaled_dot_product_attention(rearrange(q_MNH, "m n h -> n m h"), k_NTH, v_NTH, attn_mask=mask_T[None, None])
        for q_MNH, k_NTH, v_NTH, mask_T in zip(pieces, k_BNTH, v_BNTH, mask, strict=True)
    ]
    return out + torch.tanh(gate)[:, None] * rearrange(torch.cat(texts, dim=1), "n l h -> l n h")


def _equal(x_LX: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> bool:
    return (len(cu_seqlens) - 1) * max_seqlen == len(x_LX)


def _spread(value_BD: Tensor, cu_seqlens: Tensor, num_tokens: int) -> Tensor:
    """The row of each token's segment. On a GPU the gradient of an index sums in float32, that of a repetition not."""
    return value_BD[torch.repeat_interleave(cu_seqlens.diff(), output_size=num_tokens)]


def _turned(x_LD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs of channels as complex numbers, as LLaMA's code turns them; as real ones where those cannot be fused."""
    pairs = rearrange(x_LD.to(cos.dtype), "l (n p two) -> l n p two", p=cos.shape[1], two=2)
    if torch.compiler.is_compiling():
        (even, odd), cos, sin = pairs.unbind(-1), cos[:, None], sin[:, None]
        turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(cos, sin)[:, None])
    return turned.flatten(-2).to(x_LD.dtype)


def _explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v


def _each_segment(
    attend: Callable[..., Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    lengths: Sequence[int] | None,
) -> Tensor:
    """Attention inside each segment by a function of (B, N, M, H)."""
    if _equal(q, cu_seqlens, max_seqlen):
        q, k, v = (rearrange(x, "(b m) n h -> b n m h", m=max_seqlen) for x in (q, k, v))
        return rearrange(attend(q, k, v), "b n m h -> (b m) n h")
    splits = [x.split(list(lengths or cu_seqlens.diff().tolist())) for x in (q, k, v)]
    outputs = [attend(*(rearrange(x, "m n h -> 1 n m h") for x in parts)) for parts in zip(*splits, strict=True)]
    return torch.cat([rearrange(out, "1 n m h -> m n h") for out in outputs])
