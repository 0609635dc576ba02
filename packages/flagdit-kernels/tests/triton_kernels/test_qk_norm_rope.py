"""The Triton kernels of qk_norm_rope against the closed-form reference in float64, called directly."""

import pytest
import torch

from flagdit_kernels.ops.qk_norm_rope import reference, triton

from ..tolerances import assert_close
from .support import DEVICE, DTYPES, FEW_ROWS, assert_no_worse, draw, exactly, rows_past_two_to_the_31

PARAMETERS = ("q_weight", "q_bias", "k_weight", "k_bias")


def parameters(norm, q_width, kv_width, dtype):
    """Weights and biases of q and k that make a norm."""
    weights = [draw(width, dtype=dtype, seed=1) if norm != "none" else None for width in (q_width, kv_width)]
    biases = [draw(width, dtype=dtype, seed=2) if norm == "LayerNorm" else None for width in (q_width, kv_width)]
    return weights[0], biases[0], weights[1], biases[1]


def optional(value):
    """The same values in float64 on the CPU, where there are any."""
    return None if value is None else exactly(value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("norm", ["none", "RMSNorm", "LayerNorm"])
@pytest.mark.parametrize("shape", [(37, 6, 2, 10), (0, 2, 1, 4)], ids=str)
def test_qk_norm_rope(shape, norm, dtype):
    """Outputs and all gradients, grouped heads, sizes that are no powers of two, several tiles, no rows."""
    rows, heads, kv_heads, head_dim = shape
    q_width, kv_width = heads * head_dim, kv_heads * head_dim
    qkv = draw(rows, q_width + 2 * kv_width, dtype=dtype, seed=0)
    angles = draw(rows, head_dim // 2, dtype=torch.float32, seed=3)
    inputs = (qkv, *parameters(norm, q_width, kv_width, dtype), angles.cos(), angles.sin())
    sizes, out_v = (heads, kv_heads, 1e-5), qkv.new_empty(rows, kv_heads, head_dim)
    found = *triton.forward(*inputs, *sizes, out_v=out_v, config=FEW_ROWS), out_v
    plain, exact = reference.forward(*inputs, *sizes), reference.forward(*map(optional, inputs), *sizes)
    for name, *values in zip(("q", "k", "v"), found, plain, exact, strict=True):
        assert_no_worse(*values, name)
    douts = [draw(rows, n, head_dim, dtype=dtype, seed=4 + n) for n in (heads, kv_heads, kv_heads)]
    gradients = triton.backward(*douts, *inputs, 1e-5, config=FEW_ROWS)
    plain = reference.backward(*douts, *inputs, 1e-5)
    exact = reference.backward(*map(optional, (*douts, *inputs)), 1e-5)
    for name, got, *others in zip(("qkv", *PARAMETERS), gradients, plain, exact, strict=True):
        assert (got is None) == (others[0] is None)
        if got is not None:
            assert_no_worse(got, *others, f"gradient of {name}")


@pytest.mark.parametrize("norms", [("LayerNorm", "none"), ("RMSNorm", "LayerNorm")], ids=str)
def test_norms_of_q_and_k_may_differ(norms):
    """Each of q and k is normalised by its own parameters, whichever of these there are."""
    qkv, angles = draw(5, 48, dtype=torch.float32, seed=0), draw(5, 4, dtype=torch.float32, seed=3)
    q_norm, k_norm = (parameters(norm, 16, 16, torch.float32) for norm in norms)
    inputs = (qkv, *q_norm[:2], *k_norm[2:], angles.cos(), angles.sin())
    q, k = triton.forward(*inputs, 2, 2, 1e-5)
    exact_q, exact_k, _ = reference.forward(*map(optional, inputs), 2, 2, 1e-5)
    assert_close(q, exact_q, torch.float32, "q")
    assert_close(k, exact_k, torch.float32, "k")
    douts = [draw(5, 2, 8, dtype=torch.float32, seed=seed) for seed in (4, 5, 6)]
    exact = reference.backward(*map(optional, (*douts, *inputs)), 1e-5)
    for name, got, want in zip(("qkv", *PARAMETERS), triton.backward(*douts, *inputs, 1e-5), exact, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert_close(got, want, torch.float32, f"gradient of {name}")


def test_gradients_in_any_layout():
    """Gradients of heads that attention left in another order are read by their strides, or copied."""
    qkv, angles = draw(5, 48, dtype=torch.float32, seed=0), draw(5, 4, dtype=torch.float32, seed=3)
    inputs = (qkv, None, None, None, None, angles.cos(), angles.sin())
    dq, dk, dv = (draw(2, 5, 8, dtype=torch.float32, seed=seed).transpose(0, 1) for seed in (4, 5, 6))
    exact, *_ = reference.backward(*map(optional, (dq, dk, dv, *inputs)), 1e-5)
    assert_close(triton.backward(dq, dk, dv, *inputs, 1e-5)[0], exact, torch.float32, "gradient of qkv")


def test_offsets_past_two_to_the_31():
    """A row that begins past 2**31 elements is read where it is: offsets are 64-bit."""
    qkv, angles = rows_past_two_to_the_31(12), draw(3, 2, dtype=torch.float32, seed=3)
    weight, bias = torch.arange(4.0, device=DEVICE), torch.ones(4, device=DEVICE)
    inputs = (qkv, weight, bias, weight, None, angles.cos(), angles.sin())
    out_v = qkv.new_empty(3, 1, 4)
    found = *triton.forward(*inputs, 1, 1, 1e-5, out_v=out_v), out_v
    for name, *pair in zip("qkv", found, reference.forward(*map(optional, inputs), 1, 1, 1e-5), strict=True):
        assert_close(*pair, torch.bfloat16, name)
    douts = [x.unflatten(1, (1, 4)) for x in qkv.split(4, dim=1)]
    exact, *_ = reference.backward(*map(optional, (*douts, *inputs)), 1e-5)
    assert_close(triton.backward(*douts, *inputs, 1e-5)[0], exact, torch.bfloat16, "gradient of qkv")


@pytest.mark.gpu
def test_deterministic():
    """A hundred runs give the same bits, outputs and gradients."""
    qkv, angles = draw(5000, 3 * 1536, dtype=torch.bfloat16, seed=0), draw(5000, 24, dtype=torch.float32, seed=3)
    inputs = (qkv, *parameters("LayerNorm", 1536, 1536, torch.bfloat16), angles.cos(), angles.sin())

    def run():
        q, k = triton.forward(*inputs, 32, 32, 1e-5)
        return q, k, *triton.backward(q, k, k, *inputs, 1e-5)

    first = run()
    for _ in range(99):
        assert all(map(torch.equal, first, run()))
