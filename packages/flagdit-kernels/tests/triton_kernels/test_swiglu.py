"""The Triton kernels of swiglu against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.swiglu import reference, triton

from ..tolerances import assert_close
from .support import DEVICE, DTYPES, draw


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (0, 4), (9, 515)], ids=str)
def test_swiglu(shape, dtype):
    """Forward and gradient at sizes below and past a block in both directions, and with no rows."""
    rows, width = shape
    x, dout = draw(rows, 2 * width, dtype=dtype, seed=0), draw(rows, width, dtype=dtype, seed=1)
    exact, exact_dout = x.double().cpu(), dout.double().cpu()
    assert_close(triton.forward(x), reference.forward(exact), dtype, "out")
    assert_close(triton.backward(dout, x), reference.backward(exact_dout, exact), dtype, "gradient of x")


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit. Untouched memory is virtual."""
    stride, width = 2**30, 8
    x = torch.empty(2 * stride + width, dtype=torch.bfloat16, device=DEVICE).as_strided((3, width), (stride, 1))
    for row in range(3):
        x[row] = torch.arange(width) + row
    assert_close(triton.forward(x), reference.forward(x.double().cpu()), torch.bfloat16, "out")
