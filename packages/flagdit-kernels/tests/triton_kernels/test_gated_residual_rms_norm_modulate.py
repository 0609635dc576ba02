"""The Triton kernels of gated_residual_rms_norm_modulate against the reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.gated_residual import triton as gated_residual
from flagdit_kernels.ops.gated_residual_rms_norm_modulate import reference, triton
from flagdit_kernels.ops.rms_norm_modulate import triton as rms_norm_modulate

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, FEW_ROWS, ROW_LAYOUTS, assert_no_worse, draw, exactly, rows_past_two_to_the_31

GRADIENTS = ("x", "y", "gate", "weight", "shift", "scale")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ROW_LAYOUTS.values(), ids=ROW_LAYOUTS)
def test_gated_residual_rms_norm_modulate(layout, dtype):
    """Both outputs and all six gradients, at a width that is no power of two, as good as plain PyTorch."""
    num_segments, width = len(layout.lengths), 100
    x, y, dresidual, dnormed = (draw(layout.num_tokens, width, dtype=dtype, seed=seed) for seed in range(4))
    gate, shift, scale = (draw(num_segments, width, dtype=dtype, seed=seed) for seed in range(4, 7))
    weight = draw(width, dtype=dtype, seed=7)
    segments, bounds = (*layout.arguments(DEVICE).values(), 1e-5), (*layout.arguments().values(), 1e-5)
    inputs, saved = (x, y, gate, weight, shift, scale), (dresidual, dnormed, x, y, gate, weight, scale)
    found = triton.forward(*inputs, *segments, config=FEW_ROWS)
    plain, exact = reference.forward(*inputs, *segments), reference.forward(*map(exactly, inputs), *bounds)
    for name, *values in zip(("residual", "normed"), found, plain, exact, strict=True):
        assert_no_worse(*values, name)
    gradients = triton.backward(*saved, *segments, config=FEW_ROWS)
    plain, exact = reference.backward(*saved, *segments), reference.backward(*map(exactly, saved), *bounds)
    for name, *values in zip(GRADIENTS, gradients, plain, exact, strict=True):
        assert_no_worse(*values, f"gradient of {name}")


def test_same_as_one_after_the_other():
    """Fusing changes no bit: the residual, and its norm, are those of the two operators in turn."""
    layout = Layout(lengths=(5, 9))
    x, y = (draw(14, 640, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    gate, shift, scale = (draw(2, 640, dtype=torch.bfloat16, seed=seed) for seed in (2, 3, 4))
    weight, segments = draw(640, dtype=torch.bfloat16, seed=5), tuple(layout.arguments(DEVICE).values())
    residual, normed = triton.forward(x, y, gate, weight, shift, scale, *segments, 1e-5)
    assert torch.equal(residual, gated_residual.forward(x, y, gate, *segments))
    assert torch.equal(normed, rms_norm_modulate.forward(residual, weight, shift, scale, *segments, 1e-5))


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit."""
    x, layout, values = rows_past_two_to_the_31(8), Layout(lengths=(3,)), torch.arange(8.0, device=DEVICE)
    segments, bounds = (*layout.arguments(DEVICE).values(), 1e-5), (*layout.arguments().values(), 1e-5)
    row = values[None, :]
    inputs, saved = (x, x, row, values, row, row), (x, x, x, x, row, values, row)
    exact = reference.forward(*map(exactly, inputs), *bounds)
    for name, *pair in zip(("residual", "normed"), triton.forward(*inputs, *segments), exact, strict=True):
        assert_close(*pair, torch.bfloat16, name)
    exact = reference.backward(*map(exactly, saved), *bounds)
    for name, *pair in zip(GRADIENTS, triton.backward(*saved, *segments), exact, strict=True):
        assert_close(*pair, torch.bfloat16, f"gradient of {name}")


@pytest.mark.gpu
def test_deterministic():
    """A hundred runs give the same bits, outputs and gradients."""
    layout = Layout(lengths=(1000, 3, 4096))
    x, y = (draw(layout.num_tokens, 1536, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    weight, row = draw(1536, dtype=torch.bfloat16, seed=2), draw(3, 1536, dtype=torch.bfloat16, seed=3)
    segments = (*layout.arguments(DEVICE).values(), 1e-5)

    def run():
        outputs = triton.forward(x, y, row, weight, row, row, *segments)
        return *outputs, *triton.backward(*outputs, x, y, row, weight, row, *segments)

    first = run()
    for _ in range(99):
        assert all(map(torch.equal, first, run()))
