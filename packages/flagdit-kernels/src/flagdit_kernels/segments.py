"""How per-segment values meet packed tokens, without a per-token copy where the segments are equal.

A packed sequence of L tokens is cut into B segments by ``cu_seqlens`` (B+1,), with ``max_seqlen`` the longest of them.
All segments are equal exactly when ``B * max_seqlen == L``, which is known on the host: nothing is read back from a
device.

Legend for this package: B segments, L packed tokens, D hidden, F feed-forward, N query heads, G key heads, H head
width, P pairs of a head (H / 2), E width of the fused projection (N + 2G) * H, T text tokens, X any further axes.
"""

from itertools import groupby
from typing import Any

import torch
from torch import Tensor


def are_equal(num_tokens: int, cu_seqlens: Tensor, max_seqlen: int) -> bool:
    """Whether all segments have the same length."""
    return (cu_seqlens.shape[0] - 1) * max_seqlen == num_tokens


Runs = list[tuple[int, int]]
"""Neighbouring segments of one length, as (how many, length)."""


def find_runs(num_tokens: int, cu_seqlens: Tensor, max_seqlen: int) -> Runs:
    """The runs of equal segments: one if all are equal, else read from ``cu_seqlens`` on the host."""
    if are_equal(num_tokens, cu_seqlens, max_seqlen):
        return [(cu_seqlens.shape[0] - 1, max_seqlen)]
    lengths: list[int] = cu_seqlens.diff().tolist()
    return [(len(list(run)), length) for length, run in groupby(lengths)]


def split_tokens(x_LX: Tensor, runs: Runs) -> list[Tensor]:
    """The tokens of each run, ``(segments, length, ...)``."""
    parts = _split(x_LX, [segments * length for segments, length in runs])
    return [part.unflatten(0, run) for part, run in zip(parts, runs, strict=True)]


def split_segments(value_BX: Tensor, runs: Runs) -> list[Tensor]:
    """The per-segment values of each run, ``(segments, ...)``."""
    return _split(value_BX, [segments for segments, _ in runs])


def _split(x: Tensor, sizes: list[int]) -> list[Tensor]:
    """Views of the parts; one part is the tensor itself, since the gradient of a split is a copy."""
    return [x] if len(sizes) == 1 else list(torch.split(x, sizes))


def join_tokens(parts: list[Tensor]) -> Tensor:
    """``(L, ...)`` again, from what `split_tokens` gave."""
    flat = [part.flatten(0, 1) for part in parts]
    return flat[0] if len(flat) == 1 else torch.cat(flat)


def token_view(x_LX: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """``(B, N, ...)`` where the segments are equal, else ``(L, ...)`` as it came."""
    if are_equal(x_LX.shape[0], cu_seqlens, max_seqlen):
        return x_LX.unflatten(0, (cu_seqlens.shape[0] - 1, max_seqlen))
    return x_LX


def value_view(value_BX: Tensor, num_tokens: int, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """Per-segment values that broadcast against `token_view`: ``(B, 1, ...)`` or, unequal, ``(L, ...)``."""
    if are_equal(num_tokens, cu_seqlens, max_seqlen):
        return value_BX.unsqueeze(1)
    spread: Tensor = _Spread.apply(value_BX, cu_seqlens.diff(), num_tokens)  # type: ignore[no-untyped-call]
    return spread


class _Spread(torch.autograd.Function):
    """One row for each token of its segment; the gradient is summed in float32.

    PyTorch's own gradient of ``repeat_interleave`` adds one token after another in the dtype of the tokens, which in
    bfloat16 loses a tenth and more of a sum over some hundreds.
    """

    @staticmethod
    def forward(ctx: Any, value_BX: Tensor, lengths_B: Tensor, num_tokens: int) -> Tensor:
        ctx.save_for_backward(lengths_B)
        return torch.repeat_interleave(value_BX, lengths_B, dim=0, output_size=num_tokens)

    @staticmethod
    def backward(ctx: Any, dout_LX: Tensor) -> tuple[Tensor, None, None]:
        (lengths_B,) = ctx.saved_tensors
        wide_LX = dout_LX.to(wide_dtype(dout_LX))
        dvalue_BX = torch.segment_reduce(wide_LX, "sum", lengths=lengths_B, axis=0, initial=0)
        return dvalue_BX.to(dout_LX.dtype), None, None


def segment_sum(x_LD: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    """The sum of each segment's tokens, ``(B, D)``; zero for an empty segment."""
    if are_equal(x_LD.shape[0], cu_seqlens, max_seqlen):
        return token_view(x_LD, cu_seqlens, max_seqlen).sum(1)
    return torch.segment_reduce(x_LD, "sum", lengths=cu_seqlens.diff(), axis=0, initial=0)


def wide_dtype(x: Tensor) -> torch.dtype:
    """The dtype that statistics and rotations are computed in: float32, or float64 for float64 input."""
    return torch.promote_types(x.dtype, torch.float32)
