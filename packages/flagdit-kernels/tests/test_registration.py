"""What registration with torch.library buys: compilation, checkpointing, and shapes without memory."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from flagdit_kernels import OPERATORS, attention, gated_cross_attention, qk_norm_rope, rms_norm_modulate, swiglu

from .cases import CASES, LAYOUTS, Layout, gradients


def arguments_of(case, layout=LAYOUTS["ragged"], **options):
    """Positional arguments of a case's registered operator, caught as it is called."""
    caught = {}

    class Catch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function.namespace == "flagdit":
                caught.update(function=function, args=args)
            return function(*args, **(kwargs or {}))

    with Catch():
        case.registered(case.inputs(layout, torch.float32, **options))
    return caught["function"], caught["args"]


def test_every_operator_is_registered():
    """Each operator of the table, and its gradient, is a torch.library operator."""
    for name in OPERATORS:
        assert hasattr(torch.ops.flagdit, name)
        assert hasattr(torch.ops.flagdit, f"{name}_backward")


@pytest.mark.parametrize("contiguous", [True, False], ids=["contiguous", "strided"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_opcheck(case, contiguous):
    """PyTorch's own checks: schema, autograd registration, fake shapes and strides, tracing forward and backward."""
    function, arguments = arguments_of(case, contiguous=contiguous)
    leaves = [
        value.detach().requires_grad_(value.requires_grad) if isinstance(value, torch.Tensor) else value
        for value in arguments
    ]
    torch.library.opcheck(function, tuple(leaves))


class Block(torch.nn.Module):
    """Every operator of a block in the order of the model, small."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(16, 32), torch.nn.Linear(16, 16)
        self.up, self.down = torch.nn.Linear(16, 24), torch.nn.Linear(12, 16)
        self.weight, self.gate = torch.nn.Parameter(torch.ones(16)), torch.nn.Parameter(torch.ones(4))

    def forward(self, x, conditioning, text, angles, cu_seqlens, max_seqlen):
        """The block's output."""
        segments = (cu_seqlens, max_seqlen)
        h = rms_norm_modulate(x, self.weight, conditioning, conditioning, *segments)
        cos, sin = angles.cos(), angles.sin()
        q, k, v = qk_norm_rope(
            self.qkv(h), self.weight, None, self.weight[:8], None, cos, sin, num_heads=4, num_kv_heads=2
        )
        out = attention(q, k, v, *segments)
        mask = torch.ones(text.shape[:2], dtype=torch.bool)
        out = gated_cross_attention(out, q, text, text, self.gate, mask, *segments)
        return x + self.out(out.flatten(1)) + self.down(swiglu(self.up(h)))


def block_inputs(layout):
    """Inputs of the block for a layout."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    segments = layout.arguments()
    num_segments = len(layout.lengths)
    x = draw(layout.num_tokens, 16).requires_grad_()
    return x, draw(num_segments, 16), draw(num_segments, 3, 2, 4), draw(layout.num_tokens, 2), *segments.values()


@pytest.mark.slow
def test_compiles_as_one_graph():
    """One graph without breaks, forward and backward equal to eager, for equal and for unequal segments, any length."""
    torch.manual_seed(0)
    block = Block()
    compiled = torch.compile(block, fullgraph=True, dynamic=True)
    for layout in (Layout(lengths=(6, 6)), Layout(lengths=(5, 9)), Layout(lengths=(4, 11))):
        inputs = block_inputs(layout)
        found, expected = compiled(*inputs), block(*inputs)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        parameters = [inputs[0], *block.parameters()]
        found, expected = (torch.autograd.grad(out.square().sum(), parameters) for out in (found, expected))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("saves", [False, True], ids=["recompute all", "save attention"])
def test_activation_checkpointing(saves):
    """Checkpointed gradients are exact, and a policy that saves attention by name runs it once instead of twice."""
    layout = LAYOUTS["ragged"]
    inputs = CASES["attention"].inputs(layout, torch.float32)
    operator, calls = torch.ops.flagdit.attention.default, []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            calls.append(function)
            return function(*args, **(kwargs or {}))

    def policy(context, function, *args, **kwargs):
        return CheckpointPolicy.MUST_SAVE if function is operator else CheckpointPolicy.PREFER_RECOMPUTE

    def run(q, k, v):
        return operator(q, k, v, inputs["cu_seqlens"], inputs["max_seqlen"], 0.5, None)[0].sin()

    tensors = [inputs[name] for name in ("q", "k", "v")]
    options = {"context_fn": lambda: create_selective_checkpoint_contexts(policy)} if saves else {}
    with Count():
        out = checkpoint(run, *tensors, use_reentrant=False, **options)
        found = torch.autograd.grad(out.sum(), tensors)
    expected = torch.autograd.grad(run(*tensors).sum(), tensors)
    assert all(map(torch.equal, found, expected))
    assert calls.count(operator) == (1 if saves else 2)


def test_shapes_at_512k_tokens():
    """Forward and backward of the 7b preset's operators at 512 K tokens on a GPU that is not there, without memory."""
    num_tokens, width, heads = 524_288, 4096, 32
    with FakeTensorMode():

        def fake(*shape, dtype=torch.bfloat16):
            return torch.empty(*shape, dtype=dtype, device="cuda")

        segments = (fake(2, dtype=torch.int32), num_tokens)
        x, row, weight = fake(num_tokens, width), fake(1, width), fake(width)
        q = fake(num_tokens, heads, 128)
        normed = torch.ops.flagdit.rms_norm_modulate(x, weight, row, row, *segments, 1e-5)
        active = torch.ops.flagdit.swiglu(fake(num_tokens, 2 * 11008))
        out, lse = torch.ops.flagdit.attention(q, q, q, *segments, 0.1, None)
        assert normed.shape == (num_tokens, width)
        assert active.shape == (num_tokens, 11008)
        assert out.shape == q.shape and out.is_contiguous()
        assert lse.shape == (heads, num_tokens) and lse.dtype == torch.float32
        dq, *_ = torch.ops.flagdit.attention_backward(out, lse, q, q, q, out, lse, segments[0], None, num_tokens, 0.1)
        assert dq.shape == q.shape and dq.device.type == "cuda"


def test_gradient_through_the_log_sum_exp():
    """The registered operator differentiates its log-sum-exp, which a merge of partial attentions needs."""
    case, layout = CASES["attention"], LAYOUTS["ragged"]
    inputs = case.inputs(layout, torch.float64)
    _, lse = case.registered(inputs)
    _, expected = case.expected(layout, inputs)
    found = torch.autograd.grad(lse.sin().sum(), (inputs["q"], inputs["k"]))
    torch.testing.assert_close(found, torch.autograd.grad(expected.sin().sum(), (inputs["q"], inputs["k"])))


def test_one_gradient_at_a_time():
    """Asking for the gradient of one argument alone gives the same as asking for all."""
    case = CASES["rms_norm_modulate"]
    inputs = case.inputs(LAYOUTS["ragged"], torch.float64)
    (out,) = case.registered(inputs)
    expected = gradients((out,), inputs)["scale"]
    inputs["x"].requires_grad_(False)
    assert torch.equal(gradients(case.registered(inputs), inputs)["scale"], expected)
