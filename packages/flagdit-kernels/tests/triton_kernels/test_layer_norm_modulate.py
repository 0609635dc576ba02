"""The Triton kernels of layer_norm_modulate against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.layer_norm_modulate import reference, triton

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, FEW_ROWS, ROW_LAYOUTS, assert_no_worse, draw, exactly, rows_past_two_to_the_31


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ROW_LAYOUTS.values(), ids=ROW_LAYOUTS)
def test_layer_norm_modulate(layout, dtype):
    """Output and all three gradients, at a width that is no power of two, as good as plain PyTorch in the dtype."""
    num_segments, width = len(layout.lengths), 100
    x, dout = (draw(layout.num_tokens, width, dtype=dtype, seed=seed) for seed in (0, 1))
    shift, scale = (draw(num_segments, width, dtype=dtype, seed=seed) for seed in (2, 3))
    segments, bounds = (*layout.arguments(DEVICE).values(), 1e-6), (*layout.arguments().values(), 1e-6)
    inputs, saved = (x, shift, scale), (dout, x, scale)
    found = triton.forward(*inputs, *segments, config=FEW_ROWS)
    exact = reference.forward(*map(exactly, inputs), *bounds)
    assert_no_worse(found, reference.forward(*inputs, *segments), exact, "out")
    gradients = triton.backward(*saved, *segments, config=FEW_ROWS)
    plain, exact = reference.backward(*saved, *segments), reference.backward(*map(exactly, saved), *bounds)
    for name, *values in zip(("x", "shift", "scale"), gradients, plain, exact, strict=True):
        assert_no_worse(*values, f"gradient of {name}")


def test_far_from_zero():
    """Rows whose mean is a thousand times their deviation keep their variance, forward and backward."""
    layout, zeros = Layout(lengths=(4,)), torch.zeros(1, 640, device=DEVICE)
    x = 1000 + draw(4, 640, dtype=torch.float32, seed=0)
    dout, segments = draw(4, 640, dtype=torch.float32, seed=1), (*layout.arguments(DEVICE).values(), 1e-6)
    exact = reference.forward(*map(exactly, (x, zeros, zeros)), *layout.arguments().values(), 1e-6)
    assert_close(triton.forward(x, zeros, zeros, *segments), exact, torch.float32, "out", factor=20)
    exact, *_ = reference.backward(*map(exactly, (dout, x, zeros)), *layout.arguments().values(), 1e-6)
    assert_close(triton.backward(dout, x, zeros, *segments)[0], exact, torch.float32, "gradient of x", factor=20)


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit."""
    x, layout = rows_past_two_to_the_31(8), Layout(lengths=(3,))
    scale = torch.arange(8.0, device=DEVICE)[None, :]
    segments, bounds = (*layout.arguments(DEVICE).values(), 1e-6), (*layout.arguments().values(), 1e-6)
    inputs, saved = (x, scale, scale), (x, x, scale)
    exact = reference.forward(*map(exactly, inputs), *bounds)
    assert_close(triton.forward(*inputs, *segments), exact, torch.bfloat16, "out")
    exact, *_ = reference.backward(*map(exactly, saved), *bounds)
    assert_close(triton.backward(*saved, *segments)[0], exact, torch.bfloat16, "gradient of x")


@pytest.mark.gpu
def test_deterministic():
    """A hundred runs give the same bits, output and gradients."""
    layout = Layout(lengths=(1000, 3, 4096))
    x, dout = (draw(layout.num_tokens, 1536, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    scale, segments = draw(3, 1536, dtype=torch.bfloat16, seed=2), (*layout.arguments(DEVICE).values(), 1e-6)

    def run():
        return triton.forward(x, scale, scale, *segments), *triton.backward(dout, x, scale, *segments)

    first = run()
    for _ in range(99):
        assert all(map(torch.equal, first, run()))
