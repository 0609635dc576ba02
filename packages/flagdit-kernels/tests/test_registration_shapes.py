"""Shapes, strides, dtypes and devices at 512 K tokens, without memory: what a compiler plans with."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from flagdit_kernels import OPERATORS

from .compiled.operators import NUM_HEADS, NUM_TOKENS, SIZES, run

SIZE = SIZES[128]
TOKENS, HEADS = (NUM_TOKENS, SIZE.width), (NUM_TOKENS, NUM_HEADS, SIZE.head_dim)
OUTPUTS = {
    "rms_norm_modulate": (TOKENS,),
    "layer_norm_modulate": (TOKENS,),
    "gated_residual": (TOKENS,),
    "gated_residual_rms_norm_modulate": (TOKENS, TOKENS),
    "qk_norm_rope": (HEADS, HEADS, HEADS),
    "swiglu": ((NUM_TOKENS, SIZE.feed_forward),),
    "attention": (HEADS, (NUM_HEADS, NUM_TOKENS)),
    "gated_cross_attention": (HEADS,),
}


class Calls(TorchDispatchMode):
    """Keeps each call of an operator of the package, with its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[torch._ops.OpOverload, tuple[object, ...], tuple[Tensor, ...]]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function.namespace == "flagdit":
            self.calls.append((function, args, result if isinstance(result, tuple) else (result,)))
        return result


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("operator", OPERATORS)
def test_shapes_at_512k_tokens(operator, dtype):
    """Outputs and gradients have the shapes and dtypes that they stand for, and operators return contiguous tensors."""
    with Calls() as recorded:
        outputs, leaves, gradients = run(operator, SIZE, dtype)
    assert tuple(tuple(out.shape) for out in outputs) == OUTPUTS[operator]
    dtypes = (dtype, torch.float32) if operator == "attention" else (dtype,) * len(outputs)
    assert tuple(out.dtype for out in outputs) == dtypes
    for leaf, gradient in zip(leaves, gradients, strict=True):
        assert (gradient.shape, gradient.dtype) == (leaf.shape, leaf.dtype)
    assert [function._opname for function, _, _ in recorded.calls] == [operator, f"{operator}_backward"]
    assert all(result.is_contiguous() for _, _, results in recorded.calls for result in results)


@pytest.mark.parametrize("operator", OPERATORS)
def test_results_are_on_the_device_of_the_arguments(operator):
    """The same calls with tensors of a GPU that is not there plan the same results, on that GPU."""
    with Calls() as recorded:
        run(operator, SIZE, torch.bfloat16)
    with FakeTensorMode():
        for function, arguments, expected in recorded.calls:
            found = function(*tree_map_only(Tensor, _on_gpu, arguments))
            for one, other in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
                assert one.device.type == "cuda"
                assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)


def _on_gpu(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
