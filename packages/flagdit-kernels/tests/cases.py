"""One case per operator: how to draw its inputs, and the same mathematics written plainly.

The expected values are independent of the package: loops over segments and heads in float64, differentiated by
autograd.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import flagdit_kernels as fk

Inputs = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Lengths of the segments of a packed sequence."""

    lengths: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of all segments."""
        return sum(self.lengths)

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """First token of each segment, and the one after its last."""
        ends = [sum(self.lengths[: index + 1]) for index in range(len(self.lengths))]
        return [(end - length, end) for length, end in zip(self.lengths, ends, strict=True)]

    def arguments(self, device: str = "cpu") -> Inputs:
        """The arguments by which operators take a layout; the bounds are every other number of theirs."""
        ends = [value for end in (0, *(end for _, end in self.bounds)) for value in (end, 1 << 30)]
        return {
            "cu_seqlens": torch.tensor(ends, dtype=torch.int32, device=device)[::2],
            "max_seqlen": max(self.lengths, default=0),
        }

    def spread(self, value_BX: Tensor) -> Tensor:
        """One row per token."""
        return torch.stack([value_BX[b] for b, length in enumerate(self.lengths) for _ in range(length)])


LAYOUTS = {
    "equal": Layout(lengths=(5, 5, 5)),
    "single": Layout(lengths=(7,)),
    "ragged": Layout(lengths=(3, 1, 0, 9)),
    "empty ends": Layout(lengths=(0, 4, 2, 0)),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """An operator under test.

    ``draw`` gives its arguments by name without ``eps``; ``expected`` is the plain version, ``public`` the function of
    the package and ``registered`` its ``torch.library`` operator, each on such arguments and giving a tuple of
    outputs.
    """

    operator: str
    draw: Callable[[Layout], Inputs]
    expected: Callable[[Layout, Inputs], tuple[Tensor, ...]]
    public: Callable[[Inputs], tuple[Tensor, ...]]
    registered: Callable[[Inputs], tuple[Tensor, ...]]

    def inputs(self, layout: Layout, dtype: torch.dtype, *, contiguous: bool = True, device: str = "cpu") -> Inputs:
        """Arguments in a dtype, differentiable where the operator is, the same for every dtype up to rounding."""
        torch.manual_seed(1)
        arguments = {}
        for name, value in self.draw(layout).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                constant = name in ("cos", "sin", "softmax_scale")
                value = value.to(device, torch.float32 if constant else dtype)
                if not contiguous:
                    value = torch.stack((value, value), dim=-1)[..., 0]
                value.requires_grad_(not constant)
            elif isinstance(value, Tensor):
                value = value.to(device)
            arguments[name] = value
        return arguments | layout.arguments(device)


def differentiable(inputs: Inputs) -> dict[str, Tensor]:
    """The arguments that a gradient is owed for."""
    return {name: value for name, value in inputs.items() if isinstance(value, Tensor) and value.requires_grad}


def wide(inputs: Inputs) -> Inputs:
    """The same arguments in float64, as new leaves."""
    widened = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            widened[name] = value.detach().double().requires_grad_(value.requires_grad)
    return widened


def gradients(outputs: tuple[Tensor, ...], inputs: Inputs) -> dict[str, Tensor]:
    """The gradients of a fixed random projection of all outputs."""
    generator = torch.Generator().manual_seed(2)
    weights = [torch.randn(out.shape, generator=generator).to(out) for out in outputs]
    leaves = differentiable(inputs)
    found = torch.autograd.grad(outputs, list(leaves.values()), weights)
    return dict(zip(leaves, found, strict=True))


D, F, N, G, H, T = 12, 5, 6, 2, 8, 4  # 6 query heads on 2 key heads


def _rms(x: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def _layer_norm(x: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def _modulated(layout: Layout, normed: Tensor, a: Inputs) -> Tensor:
    return normed * (1 + layout.spread(a["scale"])) + layout.spread(a["shift"])


def _expected_fused(layout: Layout, a: Inputs) -> tuple[Tensor, ...]:
    residual = a["x"] + layout.spread(a["gate"]) * a["y"]
    return residual, _modulated(layout, _rms(residual, 1e-5) * a["weight"], a)


def _turn(x_LD: Tensor, a: Inputs) -> Tensor:
    x_LNH = x_LD.reshape(x_LD.shape[0], -1, H).clone()
    for pair in range(H // 2):
        cos, sin = a["cos"][:, None, pair], a["sin"][:, None, pair]
        even, odd = x_LNH[:, :, 2 * pair].clone(), x_LNH[:, :, 2 * pair + 1].clone()
        x_LNH[:, :, 2 * pair] = even * cos - odd * sin
        x_LNH[:, :, 2 * pair + 1] = even * sin + odd * cos
    return x_LNH


def _expected_qk(layout: Layout, a: Inputs) -> tuple[Tensor, ...]:
    outputs = []
    start = 0
    for name, heads in (("q", N), ("k", G)):
        x = a["qkv"][:, start : start + heads * H]
        weight, bias = a[f"{name}_weight"], a[f"{name}_bias"]
        if weight is not None:
            x = _rms(x, 1e-5) * weight if bias is None else _layer_norm(x, 1e-5) * weight + bias
        outputs.append(_turn(x, a))
        start += heads * H
    return *outputs, a["qkv"][:, start:].reshape(-1, G, H)


def _expected_attention(layout: Layout, a: Inputs) -> tuple[Tensor, ...]:
    scale = a["softmax_scale"]
    outs, lses = [], []
    for b, (start, end) in enumerate(layout.bounds):
        factor = H**-0.5 if scale is None else scale if isinstance(scale, float) else scale[b]
        heads, head_lses = [], []
        for head in range(N):
            q, k, v = (a[x][start:end, i] for x, i in (("q", head), ("k", head // 3), ("v", head // 3)))
            scores = factor * q @ k.T
            heads.append(torch.softmax(scores, -1) @ v)
            head_lses.append(torch.logsumexp(scores, -1))
        outs.append(torch.stack(heads, 1))
        lses.append(torch.stack(head_lses))
    return torch.cat(outs), torch.cat(lses, 1)


def _expected_cross(layout: Layout, a: Inputs) -> tuple[Tensor, ...]:
    outs = []
    for b, (start, end) in enumerate(layout.bounds):
        keys = a["mask"][b].nonzero().flatten()
        heads = []
        for head in range(N):
            q, k, v = a["q"][start:end, head], a["k"][b, keys, head // 3], a["v"][b, keys, head // 3]
            text = torch.softmax(q @ k.T * H**-0.5, -1) @ v if len(keys) else 0 * q
            heads.append(a["out"][start:end, head] + torch.tanh(a["gate"][head]) * text)
        outs.append(torch.stack(heads, 1))
    return (torch.cat(outs),)


def _tokens(layout: Layout, *shape: int) -> Tensor:
    return torch.randn(layout.num_tokens, *shape)


def _values(layout: Layout, *names: str) -> Inputs:
    return {name: torch.randn(len(layout.lengths), D) for name in names}


def _draw_qk(layout: Layout, *, weight: bool, bias: bool) -> Inputs:
    angles = 10 * torch.rand(layout.num_tokens, H // 2)
    parameters = {
        f"{name}_{kind}": torch.randn(heads * H) if given else None
        for name, heads in (("q", N), ("k", G))
        for kind, given in (("weight", weight), ("bias", bias))
    }
    heads = {"num_heads": N, "num_kv_heads": G}
    return {"qkv": _tokens(layout, (N + 2 * G) * H), **parameters, "cos": angles.cos(), "sin": angles.sin(), **heads}


def _draw_attention(layout: Layout, scale: str) -> Inputs:
    scales = {"none": None, "float": 0.7, "segment": 0.2 + torch.rand(len(layout.lengths))}
    tokens = {name: _tokens(layout, heads, H) for name, heads in (("q", N), ("k", G), ("v", G))}
    return {**tokens, "softmax_scale": scales[scale]}


def _draw_cross(layout: Layout) -> Inputs:
    num_segments = len(layout.lengths)
    mask = torch.rand(num_segments, T) > 0.4
    mask[-1], mask[0] = False, True  # a fully masked text and, where there are two, a full one
    k, v = torch.randn(num_segments, T, G, H), torch.randn(num_segments, T, G, H)
    return {
        "out": _tokens(layout, N, H),
        "q": _tokens(layout, N, H),
        "k": k,
        "v": v,
        "gate": torch.randn(N),
        "mask": mask,
    }


def _registered_attention(a: Inputs) -> tuple[Tensor, ...]:
    scale = a["softmax_scale"]
    number = scale if isinstance(scale, float) else H**-0.5
    per_segment = scale if isinstance(scale, Tensor) else None
    arguments = (a["q"], a["k"], a["v"], a["cu_seqlens"], a["max_seqlen"], number, per_segment)
    return torch.ops.flagdit.attention(*arguments)


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _case(operator: str, draw: Any, expected: Any, *, eps: float | None = None) -> Case:
    extra = {} if eps is None else {"eps": eps}
    return Case(
        operator=operator,
        draw=draw,
        expected=expected,
        public=lambda a: _as_tuple(getattr(fk, operator)(**a)),
        registered=lambda a: _as_tuple(getattr(torch.ops.flagdit, operator)(**a, **extra)),
    )


def _attention_case(scale: str) -> Case:
    return Case(
        operator="attention",
        draw=lambda layout: _draw_attention(layout, scale),
        expected=_expected_attention,
        public=lambda a: (fk.attention(**a), fk.attention(**a, return_lse=True)[1]),
        registered=_registered_attention,
    )


def _qk_case(*, weight: bool, bias: bool) -> Case:
    def without_segments(call: Any) -> Any:
        return lambda a: call({name: a[name] for name in a if name not in ("cu_seqlens", "max_seqlen")})

    return Case(
        operator="qk_norm_rope",
        draw=lambda layout: _draw_qk(layout, weight=weight, bias=bias),
        expected=_expected_qk,
        public=without_segments(lambda a: fk.qk_norm_rope(**a)),
        registered=without_segments(lambda a: torch.ops.flagdit.qk_norm_rope(**a, eps=1e-5)),
    )


CASES = {
    "rms_norm_modulate": _case(
        "rms_norm_modulate",
        lambda lay: {"x": _tokens(lay, D), "weight": torch.randn(D), **_values(lay, "shift", "scale")},
        lambda lay, a: (_modulated(lay, _rms(a["x"], 1e-5) * a["weight"], a),),
        eps=1e-5,
    ),
    "layer_norm_modulate": _case(
        "layer_norm_modulate",
        lambda lay: {"x": _tokens(lay, D), **_values(lay, "shift", "scale")},
        lambda lay, a: (_modulated(lay, _layer_norm(a["x"], 1e-6), a),),
        eps=1e-6,
    ),
    "gated_residual": _case(
        "gated_residual",
        lambda lay: {"x": _tokens(lay, D), "y": _tokens(lay, D), **_values(lay, "gate")},
        lambda lay, a: (a["x"] + lay.spread(a["gate"]) * a["y"],),
    ),
    "gated_residual_rms_norm_modulate": _case(
        "gated_residual_rms_norm_modulate",
        lambda lay: {
            "x": _tokens(lay, D),
            "y": _tokens(lay, D),
            "weight": torch.randn(D),
            **_values(lay, "gate", "shift", "scale"),
        },
        _expected_fused,
        eps=1e-5,
    ),
    "swiglu": Case(
        operator="swiglu",
        draw=lambda lay: {"x": _tokens(lay, 2 * F)},
        expected=lambda lay, a: (a["x"][:, :F] / (1 + torch.exp(-a["x"][:, :F])) * a["x"][:, F:],),
        public=lambda a: (fk.swiglu(a["x"]),),
        registered=lambda a: (torch.ops.flagdit.swiglu(a["x"]),),
    ),
    "qk_norm_rope, LayerNorm": _qk_case(weight=True, bias=True),
    "qk_norm_rope, RMSNorm": _qk_case(weight=True, bias=False),
    "qk_norm_rope, no norm": _qk_case(weight=False, bias=False),
    "attention": _attention_case("none"),
    "attention, one scale": _attention_case("float"),
    "attention, scale per segment": _attention_case("segment"),
    "gated_cross_attention": _case("gated_cross_attention", _draw_cross, _expected_cross),
}
