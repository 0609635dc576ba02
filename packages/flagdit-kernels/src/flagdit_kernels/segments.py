"""How per-segment values meet packed tokens, without a per-token copy where the segments are equal.

A packed sequence of L tokens is cut into B segments by ``cu_seqlens`` (B+1,), with ``max_seqlen`` the longest of them.
All segments are equal exactly when ``B * max_seqlen == L``, which is known on the host: nothing is read back from a
device.

Legend for this package: B segments, L packed tokens, D hidden, F feed-forward, N query heads, G key heads, H head
width, P pairs of a head (H / 2), E width of the fused projection (N + 2G) * H, T text tokens, X any further axes.
"""

import torch
from einops import rearrange
from torch import Tensor


def are_equal(num_tokens: int, cu_seqlens: Tensor, max_seqlen: int) -> bool:
    """Whether all segments have the same length."""
    return (cu_seqlens.shape[0] - 1) * max_seqlen == num_tokens


def token_view(x_LX: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``(B, N, ...)`` where the segments are equal, else ``(L, ...)`` as it came."""
    if are_equal(x_LX.shape[0], cu_seqlens, max_seqlen):
        return rearrange(x_LX, "(b l) ... -> b l ...", b=cu_seqlens.shape[0] - 1)
    return x_LX


def value_view(value_BX: Tensor, num_tokens: int, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """Per-segment values that broadcast against `token_view`: ``(B, 1, ...)`` or, unequal, ``(L, ...)``."""
    if are_equal(num_tokens, cu_seqlens, max_seqlen):
        return value_BX.unsqueeze(1)
    return torch.repeat_interleave(value_BX, cu_seqlens.diff(), dim=0, output_size=num_tokens)


def segment_sum(x_LD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """The sum of each segment's tokens, ``(B, D)``; zero for an empty segment."""
    if are_equal(x_LD.shape[0], cu_seqlens, max_seqlen):
        return token_view(x_LD, cu_seqlens, max_seqlen).sum(1)
    return torch.segment_reduce(x_LD, "sum", lengths=cu_seqlens.diff(), axis=0, initial=0)


def wide_dtype(x: Tensor) -> torch.dtype:
    """The dtype that statistics and rotations are computed in: float32, or float64 for float64 input."""
    return torch.promote_types(x.dtype, torch.float32)
