"""Gated residual: the end of each half of a block."""

from typing import Any

import torch
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_segments, check_shape, check_tokens
from flagdit_kernels.ops.gated_residual import reference


def gated_residual(
    x: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int, *, backend: Backend = "auto"
) -> Tensor:
    """Return ``x + gate * y``.

    The gate of adaLN-Zero: DiT, arXiv 2212.09748, section 3.2. Differentiable in x, y and gate.

    Args:
        x: the residual stream, packed tokens (L, D), floating point.
        y: what a layer adds to it (L, D).
        gate: one row per segment (B, D).
        cu_seqlens: where each segment begins, and the end: (B + 1,) int32, from 0 to L, not decreasing.
        max_seqlen: tokens of the longest segment.
        backend: "auto", "reference" or "triton".

    Returns:
        (L, D) in x's dtype.

    Raises:
        ValueError: a shape that does not fit, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> x, y, gate = torch.randn(5, 8), torch.randn(5, 8), torch.randn(2, 8)
        >>> gated_residual(x, y, gate, torch.tensor([0, 2, 5], dtype=torch.int32), 3).shape
        torch.Size([5, 8])
    """
    check_tokens("x", x, 2)
    check_shape("y", y, x.shape)
    check_segments(cu_seqlens, {"gate": gate}, x.shape[1])
    run = _forward if resolve("gated_residual", backend, x) == "triton" else reference.forward
    return run(x, y, gate, cu_seqlens, max_seqlen)


@torch.library.custom_op("flagdit::gated_residual", mutates_args=())
def _forward(x: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    return reference.forward(x, y, gate, cu_seqlens, max_seqlen).contiguous()


@torch.library.custom_op("flagdit::gated_residual_backward", mutates_args=())
def _backward(dout: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> tuple[Tensor, Tensor]:
    dy, dgate = reference.backward(dout, y, gate, cu_seqlens, max_seqlen)
    return dy.contiguous(), dgate


@_forward.register_kernel("cuda")
def _(x: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    from flagdit_kernels.ops.gated_residual import triton

    return triton.forward(x, y, gate, cu_seqlens, max_seqlen)


@_backward.register_kernel("cuda")
def _(dout: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> tuple[Tensor, Tensor]:
    from flagdit_kernels.ops.gated_residual import triton

    return triton.backward(dout, y, gate, cu_seqlens, max_seqlen)


@_forward.register_fake
def _(x: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
    return x.new_empty(x.shape)


@_backward.register_fake
def _(dout: Tensor, y: Tensor, gate: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> tuple[Tensor, Tensor]:
    return y.new_empty(y.shape), gate.new_empty(gate.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _x, y, gate, cu_seqlens, ctx.max_seqlen = inputs
    ctx.save_for_backward(y, gate, cu_seqlens)


def _differentiate(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    return dout, *_backward(dout, *ctx.saved_tensors, ctx.max_seqlen), None, None


_forward.register_autograd(_differentiate, setup_context=_save)
