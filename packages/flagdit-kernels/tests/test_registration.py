"""What registration with torch.library promises of each operator: PyTorch's own checks, and its gradients."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flagdit_kernels import OPERATORS

from .cases import CASES, LAYOUTS, gradients


def arguments_of(case, layout, dtype, **options):
    """The registered operator of a case and its positional arguments, caught as it is called."""
    caught = {}

    class Catch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function.namespace == "flagdit":
                caught.update(function=function, args=args)
            return function(*args, **(kwargs or {}))

    with Catch():
        case.registered(case.inputs(layout, dtype, **options))
    return caught["function"], caught["args"]


def test_every_operator_is_registered():
    """Each operator of the table, and its gradient, is a torch.library operator."""
    for name in OPERATORS:
        assert hasattr(torch.ops.flagdit, name)
        assert hasattr(torch.ops.flagdit, f"{name}_backward")


@pytest.mark.parametrize(
    ("dtype", "contiguous"),
    [(torch.float32, True), (torch.float32, False), (torch.bfloat16, True), (torch.float16, True)],
    ids=["float32", "float32 strided", "bfloat16", "float16"],
)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_opcheck(case, dtype, contiguous):
    """PyTorch's own checks: schema, autograd registration, fake shapes and strides, tracing forward and backward."""
    function, arguments = arguments_of(case, LAYOUTS["ragged"], dtype, contiguous=contiguous)
    leaves = [
        value.detach().requires_grad_(value.requires_grad) if isinstance(value, torch.Tensor) else value
        for value in arguments
    ]
    torch.library.opcheck(function, tuple(leaves))


def test_gradient_through_the_log_sum_exp():
    """The registered operator differentiates its log-sum-exp, which a merge of partial attentions needs."""
    case, layout = CASES["attention"], LAYOUTS["ragged"]
    inputs = case.inputs(layout, torch.float64)
    _, lse = case.registered(inputs)
    _, expected = case.expected(layout, inputs)
    found = torch.autograd.grad(lse.sin().sum(), (inputs["q"], inputs["k"]))
    torch.testing.assert_close(found, torch.autograd.grad(expected.sin().sum(), (inputs["q"], inputs["k"])))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_gradient_at_a_time(case):
    """The gradient of each argument is the same asked for alone, the others frozen, as asked for with all."""
    inputs = case.inputs(LAYOUTS["ragged"], torch.float64)
    expected = gradients(case.registered(inputs), inputs)
    for name in expected:
        alone = {
            key: value.detach().requires_grad_(key == name) if key in expected else value
            for key, value in inputs.items()
        }
        assert torch.equal(gradients(case.registered(alone), alone)[name], expected[name]), name
