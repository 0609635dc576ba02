"""The Triton kernels against the closed-form reference in float64, called directly.

On a machine with a GPU they run there. Without one `test_interpreter` runs this file in a process of its own under
Triton's interpreter, which proves the arithmetic and the indexing, not the absence of races.
"""

import os

import pytest
import torch

pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if INTERPRETED:
    from .interpreter import repair

    repair()

from flagdit_kernels.ops.qk_norm_rope import reference as qk_reference  # noqa: E402 - after the repair
from flagdit_kernels.ops.qk_norm_rope import triton as qk_triton  # noqa: E402 - after the repair
from flagdit_kernels.ops.rms_norm_modulate import reference as rms_reference  # noqa: E402 - after the repair
from flagdit_kernels.ops.rms_norm_modulate import triton as rms_triton  # noqa: E402 - after the repair
from flagdit_kernels.ops.swiglu import reference as swiglu_reference  # noqa: E402 - after the repair
from flagdit_kernels.ops.swiglu import triton as swiglu_triton  # noqa: E402 - after the repair

from .cases import LAYOUTS, Layout  # noqa: E402 - after the repair
from .tolerances import assert_close  # noqa: E402 - after the repair

pytestmark = [pytest.mark.gpu] if not INTERPRETED else []
DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TRITON_LAYOUTS = LAYOUTS | {"several tiles": Layout(lengths=(33, 0, 70, 1))}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Fresh memory is NaN: a value that a kernel forgets to write is seen."""
    new_empty = torch.Tensor.new_empty

    def new_nan(self, *size, **options):
        tensor = new_empty(self, *size, **options)
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch.Tensor, "new_empty", new_nan)


def draw(*shape: int, dtype: torch.dtype, seed: int, padding: int = 3) -> torch.Tensor:
    """Normal values, rows further apart than they are wide."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randn(*shape[:-1], shape[-1] + padding, generator=generator)
    return wide.to(DEVICE, dtype)[..., : shape[-1]]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", TRITON_LAYOUTS.values(), ids=TRITON_LAYOUTS)
def test_rms_norm_modulate(layout, dtype):
    """Forward and all four gradients, at a width that is no power of two, with tiles that are not full."""
    num_segments, width = len(layout.lengths), 100
    x, dout = (draw(layout.num_tokens, width, dtype=dtype, seed=seed) for seed in (0, 1))
    shift, scale = (draw(num_segments, width, dtype=dtype, seed=seed) for seed in (2, 3))
    weight, segments = draw(width, dtype=dtype, seed=4), layout.arguments(DEVICE)
    bounds = segments["cu_seqlens"]
    exact = [value.double().cpu() for value in (x, weight, shift, scale, dout)]
    cpu = {**layout.arguments(), "eps": 1e-5}
    expected = rms_reference.forward(*exact[:4], **cpu)
    assert_close(rms_triton.forward(x, weight, shift, scale, bounds, 1e-5), expected, dtype, "out")
    found = rms_triton.backward(dout, x, weight, scale, bounds, 1e-5)
    expected = rms_reference.backward(exact[4], exact[0], exact[1], exact[3], **cpu)
    for name, got, want in zip(("x", "weight", "shift", "scale"), found, expected, strict=True):
        assert_close(got, want, dtype, f"gradient of {name}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (0, 4), (9, 515)], ids=str)
def test_swiglu(shape, dtype):
    """Forward and gradient at sizes below and past a block in both directions, and with no rows."""
    rows, width = shape
    x, dout = draw(rows, 2 * width, dtype=dtype, seed=0), draw(rows, width, dtype=dtype, seed=1)
    exact, exact_dout = x.double().cpu(), dout.double().cpu()
    assert_close(swiglu_triton.forward(x), swiglu_reference.forward(exact), dtype, "out")
    assert_close(swiglu_triton.backward(dout, x), swiglu_reference.backward(exact_dout, exact), dtype, "gradient of x")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("norm", ["none", "RMSNorm", "LayerNorm"])
@pytest.mark.parametrize("shape", [(20, 6, 2, 10), (0, 2, 1, 4)], ids=str)
def test_qk_norm_rope(shape, norm, dtype):
    """Forward and all gradients, grouped heads, widths that are no power of two, several tiles, no rows."""
    rows, heads, kv_heads, head_dim = shape
    q_width, kv_width = heads * head_dim, kv_heads * head_dim
    qkv = draw(rows, q_width + 2 * kv_width, dtype=dtype, seed=0)
    weights = [draw(width, dtype=dtype, seed=1) if norm != "none" else None for width in (q_width, kv_width)]
    biases = [draw(width, dtype=dtype, seed=2) if norm == "LayerNorm" else None for width in (q_width, kv_width)]
    angles = draw(rows, head_dim // 2, dtype=torch.float32, seed=3)
    dq, dk, dv = (draw(rows, n, head_dim, dtype=dtype, seed=4 + n) for n in (heads, kv_heads, kv_heads))
    inputs = (qkv, weights[0], biases[0], weights[1], biases[1], angles.cos(), angles.sin())
    exact = [None if value is None else value.double().cpu() for value in inputs]
    names = ("q", "k", "v")
    expected = qk_reference.forward(*exact, heads, kv_heads, 1e-5)
    for name, got, want in zip(names, qk_triton.forward(*inputs, heads, kv_heads, 1e-5), expected, strict=True):
        assert_close(got, want, dtype, name)
    expected = qk_reference.backward(*(d.double().cpu() for d in (dq, dk, dv)), *exact, 1e-5)
    names = ("qkv", "q_weight", "q_bias", "k_weight", "k_bias")
    for name, got, want in zip(names, qk_triton.backward(dq, dk, dv, *inputs, 1e-5), expected, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert_close(got, want, dtype, f"gradient of {name}")


@pytest.mark.parametrize("operator", ["swiglu", "rms_norm_modulate"])
def test_offsets_past_two_to_the_31(operator):
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit. Untouched memory is virtual."""
    stride, width = 2**30, 8
    x = torch.empty(2 * stride + width, dtype=torch.bfloat16, device=DEVICE).as_strided((3, width), (stride, 1))
    for row in range(3):
        x[row] = torch.arange(width) + row
    if operator == "swiglu":
        assert_close(swiglu_triton.forward(x), swiglu_reference.forward(x.double().cpu()), torch.bfloat16, "out")
        return
    layout = Layout(lengths=(3,))
    ones, zeros = torch.ones(width, device=DEVICE), torch.zeros(1, width, device=DEVICE)
    found = rms_triton.forward(x, ones, zeros, zeros, layout.arguments(DEVICE)["cu_seqlens"], 1e-5)
    exact = (value.double().cpu() for value in (x, ones, zeros, zeros))
    assert_close(found, rms_reference.forward(*exact, **layout.arguments(), eps=1e-5), torch.bfloat16, "out")


@pytest.mark.gpu
def test_backward_is_deterministic():
    """A hundred runs of the gradient give the same bits."""
    layout = Layout(lengths=(1000, 3, 4096))
    x, dout = (draw(layout.num_tokens, 1536, dtype=torch.bfloat16, seed=seed) for seed in (0, 1))
    weight, scale = draw(1536, dtype=torch.bfloat16, seed=2), draw(3, 1536, dtype=torch.bfloat16, seed=3)
    bounds = layout.arguments(DEVICE)["cu_seqlens"]
    first = rms_triton.backward(dout, x, weight, scale, bounds, 1e-5)
    for _ in range(99):
        assert all(map(torch.equal, first, rms_triton.backward(dout, x, weight, scale, bounds, 1e-5)))
