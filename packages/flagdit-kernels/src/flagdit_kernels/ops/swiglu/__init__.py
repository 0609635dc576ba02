"""SwiGLU over the output of the fused gate and up projection."""

from typing import Any

import torch
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_tokens
from flagdit_kernels.ops.swiglu import reference


def swiglu(x: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Return ``silu(x[:, :F]) * x[:, F:]``, where ``silu(a) = a * sigmoid(a)``.

    SwiGLU is arXiv 2002.05202, equation 6, without its two projections. Differentiable in x.

    Args:
        x: gate and up values side by side (L, 2F), floating point.
        backend: "auto", "reference" or "triton".

    Returns:
        (L, F) in x's dtype.

    Raises:
        ValueError: a shape that does not fit, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> swiglu(torch.randn(5, 16)).shape
        torch.Size([5, 8])
    """
    check_tokens("x", x, 2)
    if x.shape[1] % 2:
        raise ValueError(f"x must hold gate and up values side by side, an even width, got {x.shape[1]}")
    run = _forward if resolve("swiglu", backend, x) == "triton" else reference.forward
    return run(x)


@torch.library.custom_op("flagdit::swiglu", mutates_args=())
def _forward(x: Tensor) -> Tensor:
    return reference.forward(x).contiguous()


@torch.library.custom_op("flagdit::swiglu_backward", mutates_args=())
def _backward(dout: Tensor, x: Tensor) -> Tensor:
    return reference.backward(dout, x).contiguous()


@_forward.register_kernel("cuda")
def _(x: Tensor) -> Tensor:
    from flagdit_kernels.ops.swiglu import triton

    return triton.forward(x)


@_backward.register_kernel("cuda")
def _(dout: Tensor, x: Tensor) -> Tensor:
    from flagdit_kernels.ops.swiglu import triton

    return triton.backward(dout, x)


@_forward.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1] // 2)


@_backward.register_fake
def _(dout: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _save(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, dout: Tensor) -> Tensor:
    dx: Tensor = _backward(dout, *ctx.saved_tensors)
    return dx


_forward.register_autograd(_differentiate, setup_context=_save)
