"""Gated residual followed by RMSNorm with adaptive modulation: the seam between the two halves of a block."""

from typing import Any

import torch
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_segments, check_shape, check_tokens
from flagdit_kernels.ops.gated_residual_rms_norm_modulate import reference


def gated_residual_rms_norm_modulate(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    eps: float = 1e-5,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Return the residual ``r = x + gate * y`` and ``RMS(r) * weight * (1 + scale) + shift``.

    `gated_residual` and `rms_norm_modulate` in one pass over the tokens; see there for the sources. Differentiable in
    x, y, gate, weight, shift and scale.

    Args:
        x: the residual stream, packed tokens (L, D), floating point.
        y: what a layer adds to it (L, D).
        gate: one row per segment (B, D).
        weight: (D,).
        shift: one row per segment (B, D).
        scale: one row per segment (B, D).
        cu_seqlens: where each segment begins, and the end: (B + 1,) int32, from 0 to L, not decreasing.
        max_seqlen: tokens of the longest segment.
        eps: added to the mean square.
        backend: "auto", "reference" or "triton".

    Returns:
        The residual and its modulated norm, each (L, D) in x's dtype.

    Raises:
        ValueError: a shape that does not fit, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> x, y, values = torch.randn(5, 8), torch.randn(5, 8), torch.randn(2, 8)
        >>> bounds = torch.tensor([0, 2, 5], dtype=torch.int32)
        >>> r, h = gated_residual_rms_norm_modulate(x, y, values, torch.ones(8), values, values, bounds, 3)
        >>> r.shape, h.shape
        (torch.Size([5, 8]), torch.Size([5, 8]))
    """
    check_tokens("x", x, 2)
    check_shape("y", y, x.shape)
    check_shape("weight", weight, (x.shape[1],))
    check_segments(cu_seqlens, {"gate": gate, "shift": shift, "scale": scale}, x.shape[1])
    chosen = resolve("gated_residual_rms_norm_modulate", backend, x)
    run = _forward if chosen == "triton" else reference.forward
    return run(x, y, gate, weight, shift, scale, cu_seqlens, max_seqlen, eps)


@torch.library.custom_op("flagdit::gated_residual_rms_norm_modulate", mutates_args=())
def _forward(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    residual, normed = reference.forward(x, y, gate, weight, shift, scale, cu_seqlens, max_seqlen, eps)
    return residual.contiguous(), normed.contiguous()


@torch.library.custom_op("flagdit::gated_residual_rms_norm_modulate_backward", mutates_args=())
def _backward(
    dresidual: Tensor,
    dnormed: Tensor,
    residual: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    dx, dy, dgate, dweight, dshift, dscale = reference.backward(
        dresidual, dnormed, residual, y, gate, weight, scale, cu_seqlens, max_seqlen, eps
    )
    return dx.contiguous(), dy.contiguous(), dgate, dweight, dshift, dscale


@_forward.register_kernel("cuda")
def _(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    from flagdit_kernels.ops.gated_residual_rms_norm_modulate import triton

    return triton.forward(x, y, gate, weight, shift, scale, cu_seqlens, max_seqlen, eps)


@_backward.register_kernel("cuda")
def _(
    dresidual: Tensor,
    dnormed: Tensor,
    residual: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    from flagdit_kernels.ops.gated_residual_rms_norm_modulate import triton

    return triton.backward(dresidual, dnormed, residual, y, gate, weight, scale, cu_seqlens, max_seqlen, eps)


@_forward.register_fake
def _(
    x: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape)


@_backward.register_fake
def _(
    dresidual: Tensor,
    dnormed: Tensor,
    residual: Tensor,
    y: Tensor,
    gate: Tensor,
    weight: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    like = (residual, y, gate, weight, scale, scale)
    dx, dy, dgate, dweight, dshift, dscale = (tensor.new_empty(tensor.shape) for tensor in like)
    return dx, dy, dgate, dweight, dshift, dscale


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _x, y, gate, weight, _shift, scale, cu_seqlens, ctx.max_seqlen, ctx.eps = inputs
    ctx.save_for_backward(output[0], y, gate, weight, scale, cu_seqlens)


def _differentiate(ctx: Any, dresidual: Tensor, dnormed: Tensor) -> tuple[Tensor | None, ...]:
    gradients = _backward(dresidual, dnormed, *ctx.saved_tensors, ctx.max_seqlen, ctx.eps)
    return *gradients, None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
