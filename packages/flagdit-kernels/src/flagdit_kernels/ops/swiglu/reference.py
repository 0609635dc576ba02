"""SwiGLU in plain PyTorch."""

from torch import Tensor
from torch.nn import functional as F


def forward(x_LF2: Tensor) -> Tensor:
    """``silu(x[:, :F]) * x[:, F:]``."""
    gate_LF, up_LF = x_LF2.chunk(2, dim=-1)
    return F.silu(gate_LF) * up_LF
