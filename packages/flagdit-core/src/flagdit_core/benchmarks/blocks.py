"""The suite ``blocks``: one block of the 600m, 5b and 7b networks, forward and both ways.

Legend: B latents, L tokens of all of them packed, M text tokens, D hidden, Y text width.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn

from flagdit_core.benchmarks import DTYPE, attention_of, backend_of, give_random_weights
from flagdit_core.model.block import Block, Context
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.rope import rotary_cos_sin
from flagdit_kernels.bench import Case, Conditions, Trial
from flagdit_kernels.bench.gate import Discrepancy
from flagdit_kernels.bench.operators import Shape
from flagdit_kernels.bench.shapes import gpu_shapes

_IMPLEMENTATIONS = ("flagdit", "flagdit-compiled", "eager", "eager-cudnn", "compiled-cudnn")
_FACTOR = 5.0  # on the gate's tolerance: rounding adds up over the operators of a block
_FLOAT32_TOKENS = 2**14  # up to which the gate's truth is computed in float32; beyond it in the dtype that is timed

Results = tuple[Tensor, ...]
Run = Callable[[nn.Module, Tensor, Context], Results]


def blocks(conditions: Conditions) -> Iterator[Case]:
    """The cases.

    Args:
        conditions: Device and sizes.

    Yields:
        For each width the block forward without gradients, then with the gradients of its input and weights.
    """
    runs: tuple[tuple[str, Run], ...] = (("forward", _forward), ("forward+backward", _both_ways))
    for shapes, (direction, run) in product(gpu_shapes(quick=conditions.quick), runs):
        torch.compiler.reset()  # graphs of other widths would count against the limit of recompilations
        for shape in shapes:
            config = _config(shape)
            yield Case(
                name="block",
                settings={"shape": shape.name, "dtype": "bfloat16", "direction": direction},
                implementations=_IMPLEMENTATIONS,
                work={"flops": _flops(shape, config, backward=run is _both_ways)},
                prepare=partial(_prepare, shape, config, run, conditions.device),
            )


def _config(shape: Shape) -> FlagDiTConfig:
    return FlagDiTConfig(
        hidden_size=shape.hidden,
        depth=1,
        num_heads=shape.heads,
        num_kv_heads=shape.heads,
        ffn_hidden_size=shape.ffn,
        conditioning_size=min(shape.hidden, 1024),
        caption_size=min(shape.hidden, 4096),
    )


def _flops(shape: Shape, config: FlagDiTConfig, *, backward: bool) -> int:
    """Of the matrix products: two for each weight and token, and those of both attentions; backward twice and 2.5x."""
    hidden, tokens = shape.hidden, shape.tokens
    linear = 2 * tokens * (4 * hidden**2 + 3 * hidden * config.ffn_hidden_size)
    pairs = sum(length**2 for length in shape.lengths) + tokens * shape.text
    return 3 * linear + 14 * hidden * pairs if backward else linear + 4 * hidden * pairs


def _prepare(shape: Shape, config: FlagDiTConfig, run: Run, device: torch.device) -> Callable[[str], Trial]:
    """A block and its input, and what makes the trials on them."""
    with torch.device(device):
        block = Block(config)
        give_random_weights(block)
        block.to(DTYPE)
        x_LD = torch.randn(shape.tokens, shape.hidden, dtype=DTYPE, requires_grad=True)
        context = _context(shape, config)
    truth: list[Results] = []

    def trial(name: str) -> Trial:
        module = cast(nn.Module, torch.compile(block, fullgraph=True)) if "compiled" in name else block
        named = replace(context, backend=backend_of(name))

        def call() -> Results:
            with attention_of(name):
                return run(module, x_LD, named)

        def gate() -> None:
            if not truth:
                truth.append(_truth(block, x_LD, context, run))
            _hold(call(), truth[0], name)

        return Trial(call=call, gate=gate)

    return trial


def _context(shape: Shape, config: FlagDiTConfig) -> Context:
    lengths_B = torch.tensor(shape.lengths)
    ends_B = lengths_B.cumsum(0)
    cos_LH, sin_LH = rotary_cos_sin(
        torch.cat([torch.arange(length) for length in shape.lengths]),
        lengths_B,
        head_dim=config.head_dim,
        theta=config.rope_theta,
    )
    assert config.caption_size is not None
    return Context(
        conditioning_BA=torch.randn(shape.segments, config.conditioning_size, dtype=DTYPE),
        caption_BMY=torch.randn(shape.segments, shape.text, config.caption_size, dtype=DTYPE),
        caption_mask_BM=torch.arange(shape.text) < shape.text - torch.arange(shape.segments)[:, None],
        cos_LH=cos_LH,
        sin_LH=sin_LH,
        cu_seqlens=torch.cat([torch.zeros_like(ends_B[:1]), ends_B]).int(),
        max_seqlen=max(shape.lengths),
        softmax_scale=None,
        backend="reference",
    )


def _truth(block: Block, x_LD: Tensor, context: Context, run: Run) -> Results:
    """What the plain PyTorch block gives, moved away from the device whose memory is measured."""
    if len(x_LD) <= _FLOAT32_TOKENS:
        block, x_LD = deepcopy(block).float(), x_LD.detach().float().requires_grad_()
        assert context.caption_BMY is not None
        context = replace(
            context, conditioning_BA=context.conditioning_BA.float(), caption_BMY=context.caption_BMY.float()
        )
    return tuple(result.detach().cpu() for result in run(block, x_LD, context))


def _hold(found: Results, expected: Results, name: str) -> None:
    """Raise unless output, gradient of the input, and gradients of the weights taken together are right."""
    parts = {"output": slice(0, 1), "gradient of x": slice(1, 2), "gradients of the weights": slice(2, None)}
    for what, part in parts.items():
        discrepancy = Discrepancy()
        for result, exact in zip(found[part], expected[part], strict=True):
            discrepancy.add(result, exact)
        discrepancy.check(DTYPE, f"block, {name}, {what}", factor=_FACTOR)


@torch.no_grad()
def _forward(block: nn.Module, x_LD: Tensor, context: Context) -> Results:
    return (block(x_LD, context),)


def _both_ways(block: nn.Module, x_LD: Tensor, context: Context) -> Results:
    """Output, and the gradients of half the sum of its squares."""
    out_LD = block(x_LD, context)
    return out_LD, *torch.autograd.grad(out_LD, [x_LD, *block.parameters()], out_LD.detach())
