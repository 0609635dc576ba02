"""The registry of operators: shapes, how to draw arguments, and what a user would write without us.

Shape suffixes: B segments of equal length, L tokens of all of them, D hidden, N heads, H head width, T text tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

import flagdit_kernels

Arguments = dict[str, Any]
Outputs = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes that an operator runs at.

    Attributes:
        name: For people.
        segments: B.
        length: Tokens of each segment.
        heads: N.
        head_dim: H.
        ffn: Width inside the SwiGLU layer.
        text: T.
    """

    name: str
    segments: int
    length: int
    heads: int
    head_dim: int
    ffn: int
    text: int

    @property
    def tokens(self) -> int:
        """L."""
        return self.segments * self.length

    @property
    def hidden(self) -> int:
        """D."""
        return self.heads * self.head_dim


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator of ``flagdit_kernels``, and its peers, which take the same arguments.

    Attributes:
        name: In ``flagdit_kernels``.
        draw: Its arguments at a shape, in float32 on the CPU, but those of the segments.
        peers: Other implementations by name; the first, in float64, is what all are held to.
        flops: Of the forward, where matrix products outweigh the traffic of memory.
    """

    name: str
    draw: Callable[[Shape], Arguments]
    peers: dict[str, Callable[..., Outputs]]
    flops: Callable[[Shape], int] | None = None

    def implementation(self, name: str) -> Callable[..., Outputs]:
        """Ours, called "flagdit", or a peer."""
        return getattr(flagdit_kernels, self.name) if name == "flagdit" else self.peers[name]

    def arguments(self, shape: Shape, dtype: torch.dtype) -> Arguments:
        """The arguments in a dtype, differentiable where the operator is; equal for all dtypes but for rounding."""
        torch.manual_seed(0)
        arguments = self.draw(shape)
        for name, value in arguments.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                constant = name in ("cos", "sin")
                wide = torch.promote_types(dtype, torch.float32)  # angles are never rounded to half precision
                arguments[name] = value.to(wide if constant else dtype).requires_grad_(not constant)
        return arguments


def _tokens(shape: Shape, *names: str) -> Arguments:
    return {name: torch.randn(shape.tokens, shape.hidden) for name in names}


def _modulation(shape: Shape, *names: str) -> Arguments:
    return {name: torch.randn(shape.segments, shape.hidden) for name in names} | _segments(shape)


def _segments(shape: Shape) -> Arguments:
    ends = torch.arange(0, shape.tokens + 1, shape.length, dtype=torch.int32)
    return {"cu_seqlens": ends, "max_seqlen": shape.length}


def _heads(shape: Shape, *names: str) -> Arguments:
    return {name: torch.randn(shape.tokens, shape.heads, shape.head_dim) for name in names}


def _draw_qk_norm_rope(shape: Shape) -> Arguments:
    angles = 10 * torch.rand(shape.tokens, shape.head_dim // 2)
    tables = {"cos": angles.cos(), "sin": angles.sin()}
    norms = {f"{name}_{kind}": torch.randn(shape.hidden) for name in "qk" for kind in ("weight", "bias")}
    sizes = {"num_heads": shape.heads, "num_kv_heads": shape.heads}
    return {"qkv": torch.randn(shape.tokens, 3 * shape.hidden), **norms, **tables, **sizes}


def _draw_gated_cross_attention(shape: Shape) -> Arguments:
    text = {name: torch.randn(shape.segments, shape.text, shape.heads, shape.head_dim) for name in "kv"}
    mask = torch.arange(shape.text) < shape.text - torch.arange(shape.segments)[:, None]
    return {**_heads(shape, "out", "q"), **text, "gate": torch.randn(shape.heads), "mask": mask, **_segments(shape)}


def _modulated(x_BMD: Tensor, shift_BD: Tensor, scale_BD: Tensor) -> Tensor:
    return rearrange(x_BMD * (1 + scale_BD[:, None]) + shift_BD[:, None], "b m d -> (b m) d")


def _rms_norm_modulate(x: Tensor, weight: Tensor, shift: Tensor, scale: Tensor, max_seqlen: int, **_: Tensor) -> Tensor:
    x_BMD = rearrange(x, "(b m) d -> b m d", m=max_seqlen)
    return _modulated(F.rms_norm(x_BMD, weight.shape, weight, eps=1e-5), shift, scale)


def _layer_norm_modulate(x: Tensor, shift: Tensor, scale: Tensor, max_seqlen: int, **_: Tensor) -> Tensor:
    x_BMD = rearrange(x, "(b m) d -> b m d", m=max_seqlen)
    return _modulated(F.layer_norm(x_BMD, x.shape[1:], eps=1e-6), shift, scale)


def _gated_residual(x: Tensor, y: Tensor, gate: Tensor, max_seqlen: int, **_: Tensor) -> Tensor:
    x_BMD, y_BMD = (rearrange(tokens, "(b m) d -> b m d", m=max_seqlen) for tokens in (x, y))
    return rearrange(x_BMD + gate[:, None] * y_BMD, "b m d -> (b m) d")


def _gated_residual_rms_norm_modulate(
    x: Tensor, y: Tensor, gate: Tensor, weight: Tensor, shift: Tensor, scale: Tensor, max_seqlen: int, **_: Tensor
) -> tuple[Tensor, Tensor]:
    residual = _gated_residual(x, y, gate, max_seqlen)
    return residual, _rms_norm_modulate(residual, weight, shift, scale, max_seqlen)


def _qk_norm_rope(
    qkv: Tensor,
    q_weight: Tensor,
    q_bias: Tensor,
    k_weight: Tensor,
    k_bias: Tensor,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    head_dim = 2 * cos.shape[1]
    q, k, v = qkv.split([num_heads * head_dim, num_kv_heads * head_dim, num_kv_heads * head_dim], dim=1)
    q = _turned(F.layer_norm(q, q_weight.shape, q_weight, q_bias), cos, sin)
    k = _turned(F.layer_norm(k, k_weight.shape, k_weight, k_bias), cos, sin)
    return q, k, rearrange(v, "l (n h) -> l n h", h=head_dim)


def _turned(x_LD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs of channels as complex numbers, as LLaMA's code turns them."""
    pairs = torch.view_as_complex(rearrange(x_LD.to(cos.dtype), "l (n p two) -> l n p two", p=cos.shape[1], two=2))
    return torch.view_as_real(pairs * torch.complex(cos, sin)[:, None]).flatten(-2).to(x_LD.dtype)


def _swiglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def _sdpa(q: Tensor, k: Tensor, v: Tensor, max_seqlen: int, **_: Tensor) -> Tensor:
    q, k, v = (rearrange(x, "(b m) n h -> b n m h", m=max_seqlen) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b n m h -> (b m) n h")


def _softmax(q: Tensor, k: Tensor, v: Tensor, max_seqlen: int, **_: Tensor) -> Tensor:
    q, k, v = (rearrange(x, "(b m) n h -> b n m h", m=max_seqlen) for x in (q, k, v))
    return rearrange((q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v, "b n m h -> (b m) n h")


def _gated_cross_attention(
    out: Tensor, q: Tensor, k: Tensor, v: Tensor, gate: Tensor, mask: Tensor, max_seqlen: int, **_: Tensor
) -> Tensor:
    q_BNMH = rearrange(q, "(b m) n h -> b n m h", m=max_seqlen)
    k_BNTH, v_BNTH = (rearrange(x, "b t n h -> b n t h") for x in (k, v))
    text = F.scaled_dot_product_attention(q_BNMH, k_BNTH, v_BNTH, attn_mask=mask[:, None, None])
    return out + torch.tanh(gate)[:, None] * rearrange(text, "b n m h -> (b m) n h")


# A guided step of four pictures of 128x128 by the shipped network; of one of 256x256 at the width of the 600m preset.
CPU_SHAPES = (
    Shape(name="nano 8x73", segments=8, length=73, heads=5, head_dim=32, ffn=448, text=24),
    Shape(name="600m 2x272", segments=2, length=272, heads=32, head_dim=48, ffn=4096, text=64),
)

OPERATORS = (
    Operator(
        name="rms_norm_modulate",
        draw=lambda s: {**_tokens(s, "x"), "weight": torch.randn(s.hidden), **_modulation(s, "shift", "scale")},
        peers={"eager": _rms_norm_modulate},
    ),
    Operator(
        name="layer_norm_modulate",
        draw=lambda s: {**_tokens(s, "x"), **_modulation(s, "shift", "scale")},
        peers={"eager": _layer_norm_modulate},
    ),
    Operator(
        name="gated_residual",
        draw=lambda s: {**_tokens(s, "x", "y"), **_modulation(s, "gate")},
        peers={"eager": _gated_residual},
    ),
    Operator(
        name="gated_residual_rms_norm_modulate",
        draw=lambda s: {
            **_tokens(s, "x", "y"),
            "weight": torch.randn(s.hidden),
            **_modulation(s, "gate", "shift", "scale"),
        },
        peers={"eager": _gated_residual_rms_norm_modulate},
    ),
    Operator(name="qk_norm_rope", draw=_draw_qk_norm_rope, peers={"eager": _qk_norm_rope}),
    Operator(name="swiglu", draw=lambda s: {"x": torch.randn(s.tokens, 2 * s.ffn)}, peers={"eager": _swiglu}),
    Operator(
        name="attention",
        draw=lambda s: {**_heads(s, "q", "k", "v"), **_segments(s)},
        peers={"sdpa": _sdpa, "softmax": _softmax},
        flops=lambda s: 4 * s.tokens * s.length * s.hidden,
    ),
    Operator(
        name="gated_cross_attention",
        draw=_draw_gated_cross_attention,
        peers={"sdpa": _gated_cross_attention},
        flops=lambda s: 4 * s.tokens * s.text * s.hidden,
    ),
)
