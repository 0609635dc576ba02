"""The Triton kernels of swiglu against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.configs import config
from flagdit_kernels.ops.swiglu import reference, triton

from ..tolerances import assert_close
from .support import DTYPES, assert_no_worse, draw, exactly, rows_past_two_to_the_31

SMALL = config(BLOCK_L=4, BLOCK_F=256, num_warps=4)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (0, 4), (9, 515)], ids=str)
@pytest.mark.parametrize("blocks", [SMALL, None], ids=["small", "table"])
def test_swiglu(shape, dtype, blocks):
    """Output and gradient as good as plain PyTorch's, at sizes below and past a block both ways, and with no rows."""
    rows, width = shape
    x, dout = draw(rows, 2 * width, dtype=dtype, seed=0), draw(rows, width, dtype=dtype, seed=1)
    assert_no_worse(triton.forward(x, blocks), reference.forward(x), reference.forward(exactly(x)), "out")
    exact = reference.backward(exactly(dout), exactly(x))
    assert_no_worse(triton.backward(dout, x, blocks), reference.backward(dout, x), exact, "gradient of x")


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit."""
    x = rows_past_two_to_the_31(8)
    assert_close(triton.forward(x), reference.forward(exactly(x)), torch.bfloat16, "out")
    dout = x[:, :4]
    exact = reference.backward(exactly(dout), exactly(x))
    assert_close(triton.backward(dout, x), exact, torch.bfloat16, "gradient of x")


@pytest.mark.gpu
def test_deterministic():
    """A hundred runs give the same bits, output and gradient."""
    x, dout = draw(4099, 2 * 4096, dtype=torch.bfloat16, seed=0), draw(4099, 4096, dtype=torch.bfloat16, seed=1)
    first = triton.forward(x), triton.backward(dout, x)
    for _ in range(99):
        assert torch.equal(triton.forward(x), first[0]) and torch.equal(triton.backward(dout, x), first[1])
