"""SwiGLU over the fused projection's output."""

from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.ops.swiglu import reference


def swiglu(x_LF2: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Return ``silu(x[:, :F]) * x[:, F:]``."""
    resolve("swiglu", backend, x_LF2.device)
    return reference.forward(x_LF2)
