"""SwiGLU in Triton: ``out = silu(gate) * up``, ``silu(a) = a * s``, ``s = sigmoid(a)``, gate and up side by side in x.

``dgate = dout * up * s * (1 + gate * (1 - s))`` and ``dup = dout * gate * s``. Traffic in half precision, per value of
the output: forward 6 bytes (gate and up in, out out) and 5 FLOPs; backward 10 bytes and 11 FLOPs. Design: every value
depends on two others, so a program takes a block of rows and columns; gate and up are read where the projection left
them.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.configs import Config, find_config
from flagdit_kernels.triton_rows import as_rows


@triton.jit
def _locate(num_rows, F: tl.constexpr, BLOCK_L: tl.constexpr, BLOCK_F: tl.constexpr):
    """Rows (as int64), columns and mask of this program's block; a 1-D grid, as a second axis is limited to 65535."""
    column_blocks: tl.constexpr = (F + BLOCK_F - 1) // BLOCK_F
    block = tl.program_id(0)
    row = (block // column_blocks).to(tl.int64) * BLOCK_L + tl.arange(0, BLOCK_L)[:, None]
    column = (block % column_blocks) * BLOCK_F + tl.arange(0, BLOCK_F)[None, :]
    return row, column, (row < num_rows) & (column < F)


@triton.jit
def _forward_kernel(X, OUT, x_stride, num_rows, F: tl.constexpr, BLOCK_L: tl.constexpr, BLOCK_F: tl.constexpr):
    row, column, mask = _locate(num_rows, F, BLOCK_L, BLOCK_F)
    x = X + row * x_stride + column
    gate = tl.load(x, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(x + F, mask=mask, other=0.0).to(tl.float32)
    tl.store(OUT + row * F + column, (gate * tl.sigmoid(gate) * up).to(OUT.dtype.element_ty), mask=mask)


@triton.jit
def _backward_kernel(
    DOUT, X, DX, dout_stride, x_stride, num_rows, F: tl.constexpr, BLOCK_L: tl.constexpr, BLOCK_F: tl.constexpr
):
    row, column, mask = _locate(num_rows, F, BLOCK_L, BLOCK_F)
    x = X + row * x_stride + column
    dout = tl.load(DOUT + row * dout_stride + column, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(x, mask=mask, other=0.0).to(tl.float32)
    up = tl.load(x + F, mask=mask, other=0.0).to(tl.float32)
    sigmoid = tl.sigmoid(gate)
    dgate = dout * up * sigmoid * (1.0 + gate * (1.0 - sigmoid))
    dx = DX + row * (2 * F) + column
    tl.store(dx, dgate.to(DX.dtype.element_ty), mask=mask)
    tl.store(dx + F, (dout * gate * sigmoid).to(DX.dtype.element_ty), mask=mask)


def forward(x: Tensor, config: Config | None = None) -> Tensor:
    """``silu(x[:, :F]) * x[:, F:]``, computed in float32 and rounded once."""
    x = as_rows(x)
    num_rows, width = x.shape[0], x.shape[1] // 2
    out = x.new_empty(num_rows, width)
    config = config or find_config("swiglu.forward", width, x.dtype, x.device)
    if out.numel():
        with torch.cuda.device_of(x):
            _forward_kernel[_grid(num_rows, width, config)](x, out, x.stride(0), num_rows, F=width, **config)
    return out


def backward(dout: Tensor, x: Tensor, config: Config | None = None) -> Tensor:
    """The gradient of x."""
    dout, x = as_rows(dout), as_rows(x)
    num_rows, width = dout.shape
    dx = x.new_empty(x.shape)
    config = config or find_config("swiglu.backward", width, x.dtype, x.device)
    if dx.numel():
        with torch.cuda.device_of(x):
            _backward_kernel[_grid(num_rows, width, config)](
                dout, x, dx, dout.stride(0), x.stride(0), num_rows, F=width, **config
            )
    return dx


def _grid(num_rows: int, width: int, config: Config) -> tuple[int]:
    return (triton.cdiv(num_rows, config["BLOCK_L"]) * triton.cdiv(width, config["BLOCK_F"]),)
