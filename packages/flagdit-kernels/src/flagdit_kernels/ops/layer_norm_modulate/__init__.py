"""LayerNorm without affine, with adaptive modulation: the norm of the final layer."""

from typing import Any

import torch
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_segments, check_tokens
from flagdit_kernels.ops.layer_norm_modulate import reference


def layer_norm_modulate(
    x: Tensor,
    shift: Tensor,
    scale: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    eps: float = 1e-6,
    backend: Backend = "auto",
) -> Tensor:
    """Return ``LN(x) * (1 + scale) + shift``, where ``LN(x) = (x - mean(x)) / sqrt(var(x) + eps)``.

    LayerNorm is arXiv 1607.06450; the modulation is adaLN of DiT, arXiv 2212.09748, section 3.2. Statistics are
    computed in float32 (float64 for float64 input). Differentiable in x, shift and scale.

    Args:
        x: packed tokens (L, D), floating point.
        shift: one row per segment (B, D).
        scale: one row per segment (B, D).
        cu_seqlens: where each segment begins, and the end: (B + 1,) int32, from 0 to L, not decreasing.
        max_seqlen: tokens of the longest segment.
        eps: added to the variance.
        backend: "auto", "reference" or "triton".

    Returns:
        (L, D) in x's dtype.

    Raises:
        ValueError: a shape that does not fit, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> x, zeros = torch.randn(5, 8), torch.zeros(2, 8)
        >>> layer_norm_modulate(x, zeros, zeros, torch.tensor([0, 2, 5], dtype=torch.int32), 3).shape
        torch.Size([5, 8])
    """
    check_tokens("x", x, 2)
    check_segments(cu_seqlens, {"shift": shift, "scale": scale}, x.shape[1])
    run = _forward if resolve("layer_norm_modulate", backend, x) == "triton" else reference.forward
    return run(x, shift, scale, cu_seqlens, max_seqlen, eps)


@torch.library.custom_op("flagdit::layer_norm_modulate", mutates_args=())
def _forward(x: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float) -> Tensor:
    return reference.forward(x, shift, scale, cu_seqlens, max_seqlen, eps).contiguous()


@torch.library.custom_op("flagdit::layer_norm_modulate_backward", mutates_args=())
def _backward(
    dout: Tensor, x: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    dx, dshift, dscale = reference.backward(dout, x, scale, cu_seqlens, max_seqlen, eps)
    return dx.contiguous(), dshift, dscale


@_forward.register_kernel("cuda")
def _(x: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float) -> Tensor:
    from flagdit_kernels.ops.layer_norm_modulate import triton

    return triton.forward(x, shift, scale, cu_seqlens, max_seqlen, eps)


@_backward.register_kernel("cuda")
def _(
    dout: Tensor, x: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    from flagdit_kernels.ops.layer_norm_modulate import triton

    return triton.backward(dout, x, scale, cu_seqlens, max_seqlen, eps)


@_forward.register_fake
def _(x: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float) -> Tensor:
    return x.new_empty(x.shape)


@_backward.register_fake
def _(
    dout: Tensor, x: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), scale.new_empty(scale.shape), scale.new_empty(scale.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, _shift, scale, cu_seqlens, ctx.max_seqlen, ctx.eps = inputs
    ctx.save_for_backward(x, scale, cu_seqlens)


def _differentiate(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    return *_backward(dout, *ctx.saved_tensors, ctx.max_seqlen, ctx.eps), None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
