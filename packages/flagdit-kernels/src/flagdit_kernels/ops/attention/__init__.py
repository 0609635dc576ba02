"""Packed non-causal attention with grouped query heads."""

from typing import Any, Literal, overload

import torch
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_segments, check_shape, check_tokens
from flagdit_kernels.ops.attention import reference
from flagdit_kernels.segments import are_equal, wide_dtype


@overload
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    softmax_scale: float | Tensor | None = None,
    return_lse: Literal[False] = False,
    backend: Backend = "auto",
) -> Tensor: ...
@overload
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    softmax_scale: float | Tensor | None = None,
    return_lse: Literal[True],
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]: ...
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    softmax_scale: float | Tensor | None = None,
    return_lse: bool = False,
    backend: Backend = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Return ``softmax(scale * q k^T) v`` inside each segment, and on request its log-sum-exp.

    Exact attention without a mask (FlashAttention, arXiv 2205.14135, computes the same); query head n reads key head
    ``n // (N / G)`` (grouped queries, arXiv 2305.13245). Differentiable in q, k and v, also through the log-sum-exp;
    the scale is a constant. Under ``torch.compile`` unequal segments are one opaque operator,
    ``torch.ops.flagdit.attention``.

    Args:
        q: packed queries (L, N, H), floating point.
        k: packed keys (L, G, H), G divides N.
        v: packed values (L, G, H).
        cu_seqlens: where each segment begins, and the end: (B + 1,) int32, from 0 to L, not decreasing.
        max_seqlen: tokens of the longest segment.
        softmax_scale: one number, or one per segment (B,) float32, not negative; None is ``1 / sqrt(H)``.
        return_lse: return the log-sum-exp too.
        backend: "auto", "reference" or "triton".

    Returns:
        (L, N, H) in q's dtype; with ``return_lse`` also ``log sum_k exp(scale * q k^T)``, natural, (N, L) in
        float32 (float64 for float64 input).

    Raises:
        ValueError: a shape that does not fit, a negative number as the scale, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> q, k, v = torch.randn(5, 4, 8), torch.randn(5, 2, 8), torch.randn(5, 2, 8)
        >>> attention(q, k, v, torch.tensor([0, 2, 5], dtype=torch.int32), 3).shape
        torch.Size([5, 4, 8])
    """
    check_tokens("q", q, 3)
    check_tokens("k", k, 3)
    check_shape("k", k, (q.shape[0], k.shape[1], q.shape[2]))
    check_shape("v", v, k.shape)
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"k's heads must divide q's, got {k.shape[1]} and {q.shape[1]}")
    check_segments(cu_seqlens, {}, 0)
    scale, segment_scale = q.shape[-1] ** -0.5, None
    if isinstance(softmax_scale, Tensor):
        check_shape("softmax_scale", softmax_scale, (cu_seqlens.shape[0] - 1,))
        segment_scale = softmax_scale.detach()
    elif softmax_scale is not None:
        scale = float(softmax_scale)
        if scale < 0:
            raise ValueError(f"softmax_scale must not be negative, got {scale}")
    opaque = torch.compiler.is_compiling() and (return_lse or not are_equal(q.shape[0], cu_seqlens, max_seqlen))
    chosen = resolve("attention", backend, q)
    if chosen == "triton" or opaque:
        out, lse = _forward(q, k, v, cu_seqlens, max_seqlen, scale, segment_scale, chosen)
        return (out, lse) if return_lse else out
    if return_lse:
        return reference.forward_with_lse(q, k, v, cu_seqlens, scale, segment_scale)
    return reference.forward(q, k, v, cu_seqlens, max_seqlen, scale, segment_scale)


@torch.library.custom_op("flagdit::attention", mutates_args=())
def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    softmax_scale: float,
    segment_scale: Tensor | None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    out, lse = reference.forward_with_lse(q, k, v, cu_seqlens, softmax_scale, segment_scale)
    return out.contiguous(), lse.contiguous()


@torch.library.custom_op("flagdit::attention_backward", mutates_args=())
def _backward(
    dout: Tensor,
    dlse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seqlens: Tensor,
    segment_scale: Tensor | None,
    max_seqlen: int,
    softmax_scale: float,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = reference.backward(dout, dlse, q, k, v, out, lse, cu_seqlens, softmax_scale, segment_scale)
    return dq.contiguous(), dk.contiguous(), dv.contiguous()


@_forward.register_kernel("cuda")
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    softmax_scale: float,
    segment_scale: Tensor | None,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    if resolve("attention", backend, q) == "reference":  # compiled, the reference is opaque too
        out, lse = reference.forward_with_lse(q, k, v, cu_seqlens, softmax_scale, segment_scale)
        return out.contiguous(), lse.contiguous()
    from flagdit_kernels.ops.attention import triton

    return triton.forward(q, k, v, cu_seqlens, softmax_scale, segment_scale)


@_backward.register_kernel("cuda")
def _(
    dout: Tensor,
    dlse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seqlens: Tensor,
    segment_scale: Tensor | None,
    max_seqlen: int,
    softmax_scale: float,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    if resolve("attention", backend, q) == "reference":
        dq, dk, dv = reference.backward(dout, dlse, q, k, v, out, lse, cu_seqlens, softmax_scale, segment_scale)
        return dq.contiguous(), dk.contiguous(), dv.contiguous()
    from flagdit_kernels.ops.attention import triton

    return triton.backward(dout, dlse, q, k, v, out, lse, cu_seqlens, softmax_scale, segment_scale)


@_forward.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    softmax_scale: float,
    segment_scale: Tensor | None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape[1], q.shape[0], dtype=wide_dtype(q))


@_backward.register_fake
def _(
    dout: Tensor,
    dlse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seqlens: Tensor,
    segment_scale: Tensor | None,
    max_seqlen: int,
    softmax_scale: float,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, cu_seqlens, ctx.max_seqlen, ctx.softmax_scale, segment_scale, ctx.backend = inputs
    ctx.save_for_backward(q, k, v, *output, cu_seqlens, segment_scale)


def _differentiate(ctx: Any, dout: Tensor, dlse: Tensor) -> tuple[Tensor | None, ...]:
    gradients = _backward(dout, dlse, *ctx.saved_tensors, ctx.max_seqlen, ctx.softmax_scale, ctx.backend)
    return *gradients, None, None, None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
