"""Every operator against the same mathematics in float64: outputs and all gradients."""

import pytest
import torch

from .cases import CASES, LAYOUTS, Layout, gradients, wide
from .tolerances import assert_close

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("implementation", ["public", "registered"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_outputs_and_gradients_are_right(case, implementation, layout, dtype):
    """Outputs and every gradient agree with float64, at odd sizes, with length-1 and empty segments, grouped heads."""
    inputs = case.inputs(layout, dtype)
    outputs = getattr(case, implementation)(inputs)
    inputs64 = wide(inputs)
    expected = case.expected(layout, inputs64)
    for index, (found, exact) in enumerate(zip(outputs, expected, strict=True)):
        assert_close(found, exact, dtype, f"output {index}")
    found_gradients = gradients(outputs, inputs)
    for name, exact in gradients(expected, inputs64).items():
        assert found_gradients[name].dtype == inputs[name].dtype
        assert_close(found_gradients[name], exact, dtype, f"gradient of {name}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_outputs_without_gradients_are_right(case, dtype):
    """The shorter ways that inference takes agree with float64 too."""
    layout = LAYOUTS["ragged"]
    inputs = case.inputs(layout, dtype)
    with torch.no_grad():
        outputs = case.public(inputs)
        expected = case.expected(layout, wide(inputs))
    for index, (found, exact) in enumerate(zip(outputs, expected, strict=True)):
        assert_close(found, exact, dtype, f"output {index}")


@pytest.mark.parametrize("implementation", ["public", "registered"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_strides_do_not_matter(case, implementation):
    """Inputs whose rows are not contiguous give exactly what contiguous ones give."""
    for layout in (LAYOUTS["equal"], LAYOUTS["ragged"]):
        dense, strided = (case.inputs(layout, torch.float32, contiguous=flag) for flag in (True, False))
        outputs, found = getattr(case, implementation)(dense), getattr(case, implementation)(strided)
        torch.testing.assert_close(found, outputs, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradients(found, strided), gradients(outputs, dense), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_tokens_at_all(case):
    """A packed sequence without tokens is legal: empty outputs, zero gradients of shared parameters."""
    layout = LAYOUTS["equal"].__class__(lengths=(0, 0))
    inputs = case.inputs(layout, torch.float32)
    for implementation in (case.public, case.registered):
        outputs = implementation(inputs)
        assert all(out.numel() == 0 for out in outputs)
        assert all(not grad.any() for grad in gradients(outputs, inputs).values())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_outputs_and_gradients_are_right_on_a_gpu(case, layout, dtype):
    """The same, with what "auto" picks on the GPU."""
    inputs = case.inputs(layout, dtype, device="cuda")
    outputs = case.public(inputs)
    cpu = {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
    inputs64 = wide(cpu)
    expected = case.expected(layout, inputs64)
    for index, (found, exact) in enumerate(zip(outputs, expected, strict=True)):
        assert_close(found, exact, dtype, f"output {index}")
    found_gradients = gradients(outputs, inputs)
    for name, exact in gradients(expected, inputs64).items():
        assert_close(found_gradients[name], exact, dtype, f"gradient of {name}")


@pytest.mark.parametrize("name", ["rms_norm_modulate", "layer_norm_modulate", "gated_residual"])
def test_gradients_of_long_unequal_segments(name):
    """In bfloat16 the sums over hundreds of tokens are within the table too, where segments are unequal."""
    case, layout = CASES[name], Layout(lengths=(900, 300))
    inputs = case.inputs(layout, torch.bfloat16)
    inputs64 = wide(inputs)
    found = gradients(case.public(inputs), inputs)
    for leaf, exact in gradients(case.expected(layout, inputs64), inputs64).items():
        assert_close(found[leaf], exact, torch.bfloat16, f"gradient of {leaf}")
