"""SwiGLU in plain PyTorch, and its gradient in closed form."""

import torch
from torch import Tensor
from torch.nn.functional import silu

from flagdit_kernels.segments import wide_dtype


def forward(x_LE: Tensor) -> Tensor:
    """``silu(x[:, :F]) * x[:, F:]``."""
    gate_LF, up_LF = x_LE.chunk(2, dim=-1)
    return silu(gate_LF) * up_LF


def backward(dout_LF: Tensor, x_LE: Tensor) -> Tensor:
    """The gradient of x, computed in float32."""
    gate_LF, up_LF = x_LE.to(wide_dtype(x_LE)).chunk(2, dim=-1)
    dout_LF = dout_LF.to(gate_LF.dtype)
    sigmoid_LF = torch.sigmoid(gate_LF)
    dgate_LF = dout_LF * up_LF * sigmoid_LF * (1 + gate_LF * (1 - sigmoid_LF))
    return torch.cat((dgate_LF, dout_LF * gate_LF * sigmoid_LF), dim=-1).to(x_LE.dtype)
