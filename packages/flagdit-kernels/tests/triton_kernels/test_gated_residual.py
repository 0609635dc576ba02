"""The Triton kernels of gated_residual against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.gated_residual import reference, triton

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, FEW_ROWS, ROW_LAYOUTS, assert_no_worse, draw, exactly, rows_past_two_to_the_31


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ROW_LAYOUTS.values(), ids=ROW_LAYOUTS)
def test_gated_residual(layout, dtype):
    """Output and both gradients, at a width that is no power of two, as good as plain PyTorch in the same dtype."""
    width = 100
    x, y, dout = (draw(layout.num_tokens, width, dtype=dtype, seed=seed) for seed in (0, 1, 2))
    gate, segments = draw(len(layout.lengths), width, dtype=dtype, seed=3), tuple(layout.arguments(DEVICE).values())
    inputs, saved, bounds = (x, y, gate), (dout, y, gate), tuple(layout.arguments().values())
    found = triton.forward(*inputs, *segments, config=FEW_ROWS)
    exact = reference.forward(*map(exactly, inputs), *bounds)
    assert_no_worse(found, reference.forward(*inputs, *segments), exact, "out")
    gradients = triton.backward(*saved, *segments, config=FEW_ROWS)
    plain, exact = reference.backward(*saved, *segments), reference.backward(*map(exactly, saved), *bounds)
    for name, *values in zip(("y", "gate"), gradients, plain, exact, strict=True):
        assert_no_worse(*values, f"gradient of {name}")


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit."""
    x, layout, gate = rows_past_two_to_the_31(8), Layout(lengths=(3,)), torch.arange(8.0, device=DEVICE)[None, :]
    segments, bounds = tuple(layout.arguments(DEVICE).values()), tuple(layout.arguments().values())
    exact = reference.forward(*map(exactly, (x, x, gate)), *bounds)
    assert_close(triton.forward(x, x, gate, *segments), exact, torch.bfloat16, "out")
    exact, *_ = reference.backward(*map(exactly, (x, x, gate)), *bounds)
    assert_close(triton.backward(x, x, gate, *segments)[0], exact, torch.bfloat16, "gradient of y")


@pytest.mark.gpu
def test_deterministic():
    """A hundred runs give the same bits, output and gradients."""
    layout = Layout(lengths=(1000, 3, 4096))
    x, y = (draw(layout.num_tokens, 1536, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    gate, segments = draw(3, 1536, dtype=torch.bfloat16, seed=2), tuple(layout.arguments(DEVICE).values())

    def run():
        return triton.forward(x, y, gate, *segments), *triton.backward(x, y, gate, *segments)

    first = run()
    for _ in range(99):
        assert all(map(torch.equal, first, run()))
