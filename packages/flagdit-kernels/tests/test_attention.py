"""Attention beyond one table of cases: the forms that are chosen by device, dtype and length agree."""

from unittest.mock import Mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import flagdit_kernels as fk
from flagdit_kernels.ops.attention import reference

from .cases import CASES, LAYOUTS, Layout, gradients, wide
from .tolerances import assert_close


@pytest.mark.parametrize("heads", [(6, 1), (6, 2), (6, 3), (6, 6)], ids=str)
@pytest.mark.parametrize("layout", [LAYOUTS["equal"], LAYOUTS["ragged"]], ids=["equal", "ragged"])
def test_grouped_heads_are_repeated_heads(heads, layout):
    """Sharing a key head is the same as repeating it, for every ratio of heads."""
    num_heads, num_kv_heads = heads
    torch.manual_seed(0)
    q = torch.randn(layout.num_tokens, num_heads, 8)
    k, v = (torch.randn(layout.num_tokens, num_kv_heads, 8) for _ in range(2))
    repeated = (x.repeat_interleave(num_heads // num_kv_heads, dim=1) for x in (k, v))
    expected = fk.attention(q, *repeated, **layout.arguments())
    torch.testing.assert_close(fk.attention(q, k, v, **layout.arguments()), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("keys", [0, 512], ids=["fused", "explicit"])
@pytest.mark.parametrize("name", ["attention", "gated_cross_attention"])
def test_both_forms_train_alike(name, keys, dtype, monkeypatch):
    """In half precision the fused and the explicit form are both within the table, outputs and gradients."""
    monkeypatch.setattr(reference, "MAX_EXPLICIT_KEYS", keys)
    fused = Mock(wraps=reference.scaled_dot_product_attention)
    monkeypatch.setattr(reference, "scaled_dot_product_attention", fused)
    case, layout = CASES[name], LAYOUTS["ragged"]
    inputs = case.inputs(layout, dtype)
    outputs, inputs64 = case.public(inputs), wide(inputs)
    assert fused.called == (keys == 0)
    expected = case.expected(layout, inputs64)
    assert_close(outputs[0], expected[0], dtype, "out")
    found = gradients(outputs, inputs)
    for leaf, exact in gradients(expected, inputs64).items():
        assert_close(found[leaf], exact, dtype, f"gradient of {leaf}")


@pytest.mark.parametrize("name", ["attention, scale per segment", "gated_cross_attention"])
def test_neighbours_of_one_length_are_one_call(name, monkeypatch):
    """Unequal segments are as many fused calls as there are runs of one length, right in outputs and gradients."""
    fused = Mock(wraps=reference.scaled_dot_product_attention)
    monkeypatch.setattr(reference, "scaled_dot_product_attention", fused)
    layout = Layout(lengths=(4, 4, 7, 4))
    case = CASES[name]
    inputs = case.inputs(layout, torch.float64)
    outputs = case.public(inputs)[:1]
    assert [call.args[0].shape[0] for call in fused.call_args_list] == [2, 1, 1]
    expected = case.expected(layout, inputs)[:1]
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(gradients(outputs, inputs), gradients(expected, inputs))


@pytest.mark.parametrize("implementation", ["public", "registered"])
def test_chunks_of_queries_join(implementation, monkeypatch):
    """The forms that walk over queries give the same whatever the chunk, gradients too."""
    case = CASES["attention, scale per segment"]
    inputs = case.inputs(LAYOUTS["ragged"], torch.float64)
    whole = getattr(case, implementation)(inputs)
    expected = gradients(whole, inputs)
    monkeypatch.setattr(reference, "MAX_SCORES", 2 * inputs["q"].shape[1] * inputs["max_seqlen"])
    chunked = getattr(case, implementation)(inputs)
    torch.testing.assert_close(chunked, whole)
    torch.testing.assert_close(gradients(chunked, inputs), expected)


def test_scores_held_at_once_are_bounded(monkeypatch):
    """However long the sequence, neither direction holds a tensor that is larger than q and the bound."""
    q, k, v = (torch.randn(300, heads, 8) for heads in (6, 2, 2))
    bounds = torch.tensor([0, 300], dtype=torch.int32)
    monkeypatch.setattr(reference, "MAX_SCORES", q.numel())
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            largest = max(largest, *(x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)), 0)
            return out

    with Watch():
        out, lse = reference.forward_with_lse(q, k, v, bounds, 0.3)
        reference.backward(out, lse, q, k, v, out, lse, bounds, 0.3)
    assert largest == q.numel()


@pytest.mark.parametrize("layout", [LAYOUTS["equal"], LAYOUTS["ragged"]], ids=["equal", "ragged"])
def test_keys_and_values_of_another_dtype(layout):
    """As under autocast: float32 keys beside half-precision queries and values are rounded to the queries' dtype."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(layout.num_tokens, 2, 8) for _ in range(3))
    segments = layout.arguments()
    half = fk.attention(q.bfloat16(), k, v.bfloat16(), **segments)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, fk.attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), **segments))
    text = torch.randn(len(layout.lengths), 3, 2, 8)
    mask = torch.ones(text.shape[:2], dtype=torch.bool)
    out = fk.gated_cross_attention(half, q.bfloat16(), text, text.bfloat16(), torch.ones(2), mask, **segments)
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_autocast_keeps_the_dtype(training):
    """Under bf16 autocast float32 tensors give float32 outputs close to those without it, and gradients flow."""
    case, layout = CASES["attention"], LAYOUTS["equal"]
    inputs = case.inputs(layout, torch.float32)
    expected = fk.attention(**inputs)
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(training):
        out = fk.attention(**inputs)
    assert out.dtype == torch.float32
    assert_close(out, expected.double(), torch.bfloat16, "out")
    if training:
        assert torch.autograd.grad(out.sum(), inputs["v"])[0].isfinite().all()


def test_scale_is_exact_in_half_precision():
    """A scale per segment equals the same number for all in bfloat16 to one rounding of the queries."""
    case, layout = CASES["attention"], LAYOUTS["ragged"]
    inputs = case.inputs(layout, torch.bfloat16)
    inputs["softmax_scale"] = torch.full((4,), 0.3)
    expected = case.expected(layout, wide(inputs))[0]
    assert_close(fk.attention(**inputs), expected, torch.bfloat16, "out")
