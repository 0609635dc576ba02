"""Zero-initialised gated attention to the text, added to the self-attention output."""

from typing import Any

import torch
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_segments, check_shape, check_tokens
from flagdit_kernels.ops.gated_cross_attention import reference
from flagdit_kernels.segments import are_equal


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
    backend: Backend = "auto",
) -> Tensor:
    """Return ``out + tanh(gate) * softmax(q k^T / sqrt(H), where mask) v``.

    Each segment's tokens attend to that segment's text; a text without any key adds nothing. The zero-initialised gate
    is that of LLaMA-Adapter, arXiv 2303.16199; query head n reads key head ``n // (N / G)``. Differentiable in out, q,
    k, v and gate. Under ``torch.compile`` unequal segments are one opaque operator,
    ``torch.ops.flagdit.gated_cross_attention``.

    Args:
        out: the self-attention output, packed tokens (L, N, H), floating point.
        q: its queries (L, N, H).
        k: keys of each segment's text (B, T, G, H), G divides N.
        v: values of each segment's text (B, T, G, H).
        gate: one per query head (N,), before the tanh.
        mask: True where a text token exists, (B, T) bool.
        cu_seqlens: where each segment begins, and the end: (B + 1,) int32, from 0 to L, not decreasing.
        max_seqlen: tokens of the longest segment.
        backend: "auto", "reference" or "triton".

    Returns:
        (L, N, H) in out's dtype.

    Raises:
        ValueError: a shape or dtype that does not fit, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> out, q, k, v = torch.zeros(5, 4, 8), torch.randn(5, 4, 8), torch.randn(2, 3, 2, 8), torch.randn(2, 3, 2, 8)
        >>> mask, bounds = torch.ones(2, 3, dtype=torch.bool), torch.tensor([0, 2, 5], dtype=torch.int32)
        >>> gated_cross_attention(out, q, k, v, torch.ones(4), mask, bounds, 3).shape
        torch.Size([5, 4, 8])
    """
    check_tokens("q", q, 3)
    check_shape("out", out, q.shape)
    if k.ndim != 4:
        raise ValueError(f"k must have 4 axes, (segments, text tokens, heads, head width), got shape {tuple(k.shape)}")
    check_segments(cu_seqlens, {}, 0)
    check_shape("k", k, (cu_seqlens.shape[0] - 1, k.shape[1], k.shape[2], q.shape[2]))
    check_shape("v", v, k.shape)
    check_shape("gate", gate, (q.shape[1],))
    check_shape("mask", mask, k.shape[:2])
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, True where a text token exists, got {mask.dtype}")
    if q.shape[1] % k.shape[2]:
        raise ValueError(f"k's heads must divide q's, got {k.shape[2]} and {q.shape[1]}")
    opaque = torch.compiler.is_compiling() and not are_equal(q.shape[0], cu_seqlens, max_seqlen)
    triton = resolve("gated_cross_attention", backend, q) == "triton"
    run = _forward if triton or opaque else reference.forward
    return run(out, q, k, v, gate, mask, cu_seqlens, max_seqlen)


@torch.library.custom_op("flagdit::gated_cross_attention", mutates_args=())
def _forward(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> Tensor:
    return reference.forward(out, q, k, v, gate, mask, cu_seqlens, max_seqlen).contiguous()


@torch.library.custom_op("flagdit::gated_cross_attention_backward", mutates_args=())
def _backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dq, dk, dv, dgate = reference.backward(dout, q, k, v, gate, mask, cu_seqlens)
    return dq.contiguous(), dk.contiguous(), dv.contiguous(), dgate


@_forward.register_kernel("cuda")
def _(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> Tensor:
    from flagdit_kernels.ops.gated_cross_attention import triton

    return triton.forward(out, q, k, v, gate, mask, cu_seqlens)


@_backward.register_kernel("cuda")
def _(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from flagdit_kernels.ops.gated_cross_attention import triton

    return triton.backward(dout, q, k, v, gate, mask, cu_seqlens, max_seqlen)


@_forward.register_fake
def _(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> Tensor:
    return out.new_empty(out.shape)


@_backward.register_fake
def _(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape), gate.new_empty(gate.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _out, *tensors, ctx.max_seqlen = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    return dout, *_backward(dout, *ctx.saved_tensors, ctx.max_seqlen), None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
