"""The Triton kernels of rms_norm_modulate against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.rms_norm_modulate import reference, triton

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, FEW_ROWS, ROW_LAYOUTS, assert_no_worse, draw, exactly, rows_past_two_to_the_31


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ROW_LAYOUTS.values(), ids=ROW_LAYOUTS)
def test_rms_norm_modulate(layout, dtype):
    """Output and all four gradients, at a width that is no power of two, as good as plain PyTorch in the same dtype."""
    num_segments, width = len(layout.lengths), 100
    x, dout = (draw(layout.num_tokens, width, dtype=dtype, seed=seed) for seed in (0, 1))
    shift, scale = (draw(num_segments, width, dtype=dtype, seed=seed) for seed in (2, 3))
    weight, segments = draw(width, dtype=dtype, seed=4), (*layout.arguments(DEVICE).values(), 1e-5)
    inputs, saved, bounds = (x, weight, shift, scale), (dout, x, weight, scale), (*layout.arguments().values(), 1e-5)
    found = triton.forward(*inputs, *segments, config=FEW_ROWS)
    exact = reference.forward(*map(exactly, inputs), *bounds)
    assert_no_worse(found, reference.forward(*inputs, *segments), exact, "out")
    gradients = triton.backward(*saved, *segments, config=FEW_ROWS)
    plain, exact = reference.backward(*saved, *segments), reference.backward(*map(exactly, saved), *bounds)
    for name, *values in zip(("x", "weight", "shift", "scale"), gradients, plain, exact, strict=True):
        assert_no_worse(*values, f"gradient of {name}")


def test_rows_of_the_table():
    """The rows of the table of configurations launch too, in several dtypes of parameters."""
    layout = Layout(lengths=(9, 5))
    x, dout = (draw(14, 640, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    shift, scale, weight = (draw(*size, 640, dtype=torch.float32, seed=2) for size in ((2,), (2,), ()))
    segments, bounds = (*layout.arguments(DEVICE).values(), 1e-5), (*layout.arguments().values(), 1e-5)
    found = triton.forward(x, weight, shift, scale, *segments)
    exact = reference.forward(*map(exactly, (x, weight, shift, scale)), *bounds)
    assert_close(found, exact, torch.bfloat16, "out")
    gradients = triton.backward(dout, x, weight, scale, *segments)
    exact = reference.backward(*map(exactly, (dout, x, weight, scale)), *bounds)
    assert [value.dtype for value in gradients] == [torch.bfloat16, *[torch.float32] * 3]
    for name, got, want in zip(("x", "weight", "shift", "scale"), gradients, exact, strict=True):
        assert_close(got, want, got.dtype, f"gradient of {name}")


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit."""
    x, layout = rows_past_two_to_the_31(8), Layout(lengths=(3,))
    weight, zeros = torch.arange(8.0, device=DEVICE), torch.zeros(1, 8, device=DEVICE)
    segments, bounds = (*layout.arguments(DEVICE).values(), 1e-5), (*layout.arguments().values(), 1e-5)
    inputs, saved = (x, weight, zeros, zeros), (x, x, weight, zeros)
    exact = reference.forward(*map(exactly, inputs), *bounds)
    assert_close(triton.forward(*inputs, *segments), exact, torch.bfloat16, "out")
    exact, *_ = reference.backward(*map(exactly, saved), *bounds)
    assert_close(triton.backward(*saved, *segments)[0], exact, torch.bfloat16, "gradient of x")


@pytest.mark.gpu
def test_deterministic():
    """A hundred runs give the same bits, output and gradients."""
    layout = Layout(lengths=(1000, 3, 4096))
    x, dout = (draw(layout.num_tokens, 1536, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    weight, scale = draw(1536, dtype=torch.bfloat16, seed=2), draw(3, 1536, dtype=torch.bfloat16, seed=3)
    segments = (*layout.arguments(DEVICE).values(), 1e-5)

    def run():
        forward = triton.forward(x, weight, scale, scale, *segments)
        return forward, *triton.backward(dout, x, weight, scale, *segments)

    first = run()
    for _ in range(99):
        assert all(map(torch.equal, first, run()))
