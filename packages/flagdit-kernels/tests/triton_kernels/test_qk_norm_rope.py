"""The Triton kernels of qk_norm_rope against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.qk_norm_rope import reference, triton

from ..tolerances import assert_close
from .support import DTYPES, draw


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
    expected = reference.forward(*exact, heads, kv_heads, 1e-5)
    for name, got, want in zip(names, triton.forward(*inputs, heads, kv_heads, 1e-5), expected, strict=True):
        assert_close(got, want, dtype, name)
    expected = reference.backward(*(d.double().cpu() for d in (dq, dk, dv)), *exact, 1e-5)
    names = ("qkv", "q_weight", "q_bias", "k_weight", "k_bias")
    for name, got, want in zip(names, triton.backward(dq, dk, dv, *inputs, 1e-5), expected, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert_close(got, want, dtype, f"gradient of {name}")
