"""The Triton kernels of rms_norm_modulate against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.rms_norm_modulate import reference, triton

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, TILED_LAYOUTS, draw


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", TILED_LAYOUTS.values(), ids=TILED_LAYOUTS)
def test_rms_norm_modulate(layout, dtype):
    """Forward and all four gradients, at a width that is no power of two, with tiles that are not full."""
    num_segments, width = len(layout.lengths), 100
    x, dout = (draw(layout.num_tokens, width, dtype=dtype, seed=seed) for seed in (0, 1))
    shift, scale = (draw(num_segments, width, dtype=dtype, seed=seed) for seed in (2, 3))
    weight, segments = draw(width, dtype=dtype, seed=4), layout.arguments(DEVICE)
    bounds = segments["cu_seqlens"]
    exact = [value.double().cpu() for value in (x, weight, shift, scale, dout)]
    cpu = {**layout.arguments(), "eps": 1e-5}
    expected = reference.forward(*exact[:4], **cpu)
    assert_close(triton.forward(x, weight, shift, scale, bounds, 1e-5), expected, dtype, "out")
    found = triton.backward(dout, x, weight, scale, bounds, 1e-5)
    expected = reference.backward(exact[4], exact[0], exact[1], exact[3], **cpu)
    for name, got, want in zip(("x", "weight", "shift", "scale"), found, expected, strict=True):
        assert_close(got, want, dtype, f"gradient of {name}")


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit. Untouched memory is virtual."""
    stride, width, layout = 2**30, 8, Layout(lengths=(3,))
    x = torch.empty(2 * stride + width, dtype=torch.bfloat16, device=DEVICE).as_strided((3, width), (stride, 1))
    for row in range(3):
        x[row] = torch.arange(width) + row
    ones, zeros = torch.ones(width, device=DEVICE), torch.zeros(1, width, device=DEVICE)
    found = triton.forward(x, ones, zeros, zeros, layout.arguments(DEVICE)["cu_seqlens"], 1e-5)
    exact = (value.double().cpu() for value in (x, ones, zeros, zeros))
    assert_close(found, reference.forward(*exact, **layout.arguments(), eps=1e-5), torch.bfloat16, "out")


@pytest.mark.gpu
def test_backward_is_deterministic():
    """A hundred runs of the gradient give the same bits."""
    layout = Layout(lengths=(1000, 3, 4096))
    x, dout = (draw(layout.num_tokens, 1536, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    weight, scale = draw(1536, dtype=torch.bfloat16, seed=2), draw(3, 1536, dtype=torch.bfloat16, seed=3)
    bounds = layout.arguments(DEVICE)["cu_seqlens"]
    first = triton.backward(dout, x, weight, scale, bounds, 1e-5)
    for _ in range(99):
        assert all(map(torch.equal, first, triton.backward(dout, x, weight, scale, bounds, 1e-5)))
