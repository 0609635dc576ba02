"""Where v comes from: a view of the projection's output in inference, a part of one operator where gradients flow."""

import pytest
import torch

from flagdit_kernels.ops import qk_norm_rope as module

from .cases import CASES, LAYOUTS

CASE = CASES["qk_norm_rope, LayerNorm"]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The public function calls the registered operators, as it does on a GPU."""
    monkeypatch.setattr(module, "resolve", lambda *arguments: "triton")


def inputs_and_outputs():
    """Arguments by name, and the outputs of the public function."""
    inputs = CASE.inputs(LAYOUTS["ragged"], torch.float32)
    return inputs, CASE.public(inputs)


def shares_memory(a, b):
    """Whether two tensors lie in one storage."""
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_inference_copies_no_values(mode):
    """Without gradients v is where the projection left it, and all outputs are those of training."""
    inputs, expected = inputs_and_outputs()
    with mode():
        found = CASE.public(inputs)
    assert shares_memory(found[2], inputs["qkv"])
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("only", ["qkv", "q_weight", "k_bias"])
def test_training_has_one_operator(only):
    """Where any gradient is needed v belongs to the operator, whose backward writes qkv's gradient at once."""
    inputs, _ = inputs_and_outputs()
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            inputs[name] = value.detach().requires_grad_(name == only)
    outputs = CASE.public(inputs)
    assert not shares_memory(outputs[2], inputs["qkv"])
    assert len({out.grad_fn for out in outputs}) == 1


def test_inference_operator_is_registered_right():
    """PyTorch's own checks of the operator without gradients."""
    arguments = CASE.inputs(LAYOUTS["ragged"], torch.float32)
    detached = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments.values()]
    *inputs, _cu_seqlens, _max_seqlen = detached
    torch.library.opcheck(torch.ops.flagdit.qk_norm_rope_inference, (*inputs, 1e-5))


@pytest.mark.slow
def test_inference_compiles():
    """One graph without gradients too, the view included."""
    inputs, expected = inputs_and_outputs()
    with torch.no_grad():
        found = torch.compile(CASE.public, fullgraph=True)(inputs)
    torch.testing.assert_close(found, expected)
