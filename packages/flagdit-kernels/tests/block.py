"""A block of the model, small, on the registered operators: what compilation, checkpointing and sharding are tried on.

The public functions would run the reference on a CPU; the registered operators are what a GPU runs.
"""

import torch
from torch import Tensor, nn

from flagdit_kernels import OPERATORS

from .cases import Layout

WIDTH, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, FEED_FORWARD, NUM_TEXT = 24, 6, 3, 4, 20, 7
ops = torch.ops.flagdit


class Block(nn.Module):
    """Attention, text and feed-forward with their norms, gates and residuals, then the final norm: all operators."""

    def __init__(self) -> None:
        super().__init__()
        queries, keys = NUM_HEADS * HEAD_DIM, NUM_KV_HEADS * HEAD_DIM
        self.qkv, self.out = nn.Linear(WIDTH, queries + 2 * keys), nn.Linear(queries, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * FEED_FORWARD), nn.Linear(FEED_FORWARD, WIDTH)
        self.weights = nn.ParameterList(torch.ones(width) for width in (WIDTH, WIDTH, queries, keys))
        self.biases = nn.ParameterList(torch.zeros(width) for width in (queries, keys))
        self.gate = nn.Parameter(torch.ones(NUM_HEADS))

    def forward(
        self, x: Tensor, conditioning: Tensor, text: Tensor, angles: Tensor, cu_seqlens: Tensor, max_seqlen: int
    ) -> Tensor:
        """The block's output, (L, D)."""
        segments = (cu_seqlens, max_seqlen)
        first, second, queries, keys = self.weights
        shift, scale, gate = conditioning.chunk(3, dim=1)
        h = ops.rms_norm_modulate(x, first, shift, scale, *segments, 1e-5)
        norms = (queries, self.biases[0], keys, self.biases[1])
        heads = (NUM_HEADS, NUM_KV_HEADS)
        q, k, v = ops.qk_norm_rope(self.qkv(h), *norms, angles.cos(), angles.sin(), *heads, 1e-5)
        attended, _ = ops.attention(q, k, v, *segments, HEAD_DIM**-0.5, None)
        mask = torch.ones(text.shape[:2], dtype=torch.bool)
        attended = ops.gated_cross_attention(attended, q, text, text, self.gate, mask, *segments)
        attended = self.out(attended.flatten(1))
        x, h = ops.gated_residual_rms_norm_modulate(x, attended, gate, second, shift, scale, *segments, 1e-5)
        x = ops.gated_residual(x, self.down(ops.swiglu(self.up(h))), gate, *segments)
        return ops.layer_norm_modulate(x, shift, scale, *segments, 1e-6)


def block_and_inputs(layout: Layout, seed: int = 0) -> tuple[Block, tuple[Tensor | int, ...]]:
    """A block, the same for every layout, and inputs of a layout; x wants a gradient."""
    torch.manual_seed(0)
    block = Block()
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    num_segments, segments = len(layout.lengths), layout.arguments()
    x = draw(layout.num_tokens, WIDTH).requires_grad_()
    text = draw(num_segments, NUM_TEXT, NUM_KV_HEADS, HEAD_DIM)
    angles = draw(layout.num_tokens, HEAD_DIM // 2)
    return block, (x, draw(num_segments, 3 * WIDTH), text, angles, segments["cu_seqlens"], segments["max_seqlen"])


def gradients(block: nn.Module, out: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """The gradients of x and of every parameter, of a loss to which all outputs matter."""
    return torch.autograd.grad(out.sin().sum(), [x, *block.parameters()])


FORWARDS = [getattr(ops, name).default for name in OPERATORS]
BACKWARDS = [getattr(ops, f"{name}_backward").default for name in OPERATORS]
