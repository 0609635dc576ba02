"""Every operator at the sizes of the presets, on tensors without memory: 512 K tokens in two segments."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

NUM_TOKENS, NUM_HEADS, NUM_TEXT = 524_288, 32, 256


@dataclass(frozen=True, kw_only=True)
class Size:
    """Widths of a preset: of the tokens, and of the feed-forward's hidden layer."""

    width: int
    feed_forward: int

    @property
    def head_dim(self) -> int:
        """Channels of one of the 32 heads."""
        return self.width // NUM_HEADS


SIZES = {48: Size(width=1536, feed_forward=4096), 96: Size(width=3072, feed_forward=8192)}
SIZES |= {128: Size(width=4096, feed_forward=11008)}


class Draw:
    """Makes tensors without memory, of one dtype where they are floating point."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, *shape: int) -> Tensor:
        """A tensor that a gradient is asked for."""
        return torch.empty(shape, dtype=self.dtype, device="meta", requires_grad=True)

    def constant(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """A tensor without a gradient."""
        return torch.empty(shape, dtype=dtype, device="meta")


def _segments(draw: Draw) -> tuple[Tensor, int]:
    return draw.constant(3, dtype=torch.int32), NUM_TOKENS // 2 + 1


def _rms_norm_modulate(draw: Draw, size: Size) -> tuple[object, ...]:
    d = size.width
    return draw(NUM_TOKENS, d), draw(d), draw(2, d), draw(2, d), *_segments(draw), 1e-5


def _layer_norm_modulate(draw: Draw, size: Size) -> tuple[object, ...]:
    d = size.width
    return draw(NUM_TOKENS, d), draw(2, d), draw(2, d), *_segments(draw), 1e-6


def _gated_residual(draw: Draw, size: Size) -> tuple[object, ...]:
    d = size.width
    return draw(NUM_TOKENS, d), draw(NUM_TOKENS, d), draw(2, d), *_segments(draw)


def _gated_residual_rms_norm_modulate(draw: Draw, size: Size) -> tuple[object, ...]:
    d = size.width
    x, y = draw(NUM_TOKENS, d), draw(NUM_TOKENS, d)
    return x, y, draw(2, d), draw(d), draw(2, d), draw(2, d), *_segments(draw), 1e-5


def _qk_norm_rope(draw: Draw, size: Size) -> tuple[object, ...]:
    d, pairs = size.width, size.head_dim // 2
    norms = (draw(d) for _ in range(4))
    angles = (draw.constant(NUM_TOKENS, pairs) for _ in range(2))
    return draw(NUM_TOKENS, 3 * d), *norms, *angles, NUM_HEADS, NUM_HEADS, 1e-5


def _swiglu(draw: Draw, size: Size) -> tuple[object, ...]:
    return (draw(NUM_TOKENS, 2 * size.feed_forward),)


def _attention(draw: Draw, size: Size) -> tuple[object, ...]:
    q, k, v = (draw(NUM_TOKENS, NUM_HEADS, size.head_dim) for _ in range(3))
    return q, k, v, *_segments(draw), 0.1, None


def _gated_cross_attention(draw: Draw, size: Size) -> tuple[object, ...]:
    out, q = (draw(NUM_TOKENS, NUM_HEADS, size.head_dim) for _ in range(2))
    k, v = (draw(2, NUM_TEXT, NUM_HEADS, size.head_dim) for _ in range(2))
    return out, q, k, v, draw(NUM_HEADS), draw.constant(2, NUM_TEXT, dtype=torch.bool), *_segments(draw)


ARGUMENTS: dict[str, Callable[[Draw, Size], tuple[object, ...]]] = {
    "rms_norm_modulate": _rms_norm_modulate,
    "layer_norm_modulate": _layer_norm_modulate,
    "gated_residual": _gated_residual,
    "gated_residual_rms_norm_modulate": _gated_residual_rms_norm_modulate,
    "qk_norm_rope": _qk_norm_rope,
    "swiglu": _swiglu,
    "attention": _attention,
    "gated_cross_attention": _gated_cross_attention,
}


def run(operator: str, size: Size, dtype: torch.dtype) -> tuple[tuple[Tensor, ...], list[Tensor], tuple[Tensor, ...]]:
    """The outputs of a registered operator, its differentiable arguments, and their gradients."""
    arguments = ARGUMENTS[operator](Draw(dtype), size)
    outputs = getattr(torch.ops.flagdit, operator)(*arguments)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    leaves = [value for value in arguments if isinstance(value, Tensor) and value.requires_grad]
    return outputs, leaves, torch.autograd.grad(outputs, leaves, [torch.empty_like(out) for out in outputs])
