"""The registry of operators: sizes, how to draw arguments, what has to be moved or computed, and who else offers it.

Shape suffixes: B segments, L tokens of all of them, D hidden, N heads, H head width, T text tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

import flagdit_kernels
from flagdit_kernels.bench import eager, peers
from flagdit_kernels.bench.peers import Build

Arguments = dict[str, Any]
Outputs = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes that an operator runs at.

    Attributes:
        name: For people.
        lengths: Tokens of each segment.
        heads: N.
        head_dim: H.
        ffn: Width inside the SwiGLU layer.
        text: T.
    """

    name: str
    lengths: tuple[int, ...]
    heads: int
    head_dim: int
    ffn: int
    text: int

    @property
    def segments(self) -> int:
        """B."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """L."""
        return sum(self.lengths)

    @property
    def hidden(self) -> int:
        """D."""
        return self.heads * self.head_dim


@dataclass(frozen=True, kw_only=True)
class Operator:
    """An operator of ``flagdit_kernels``, and its peers, which take the same arguments.

    Attributes:
        name: In ``flagdit_kernels``.
        draw: Its arguments at a shape, in float32, but those of the segments, on torch's default device.
        peers: Plain implementations by name; the first, in float64, is what all are held to.
        built: Further peers, which need a GPU or are made for the arguments.
        per_token: Arguments with a row for each token.
        moved: Values that a fused form must read and write for each token, forward and backward; segments' rows,
            weights and tables of angles, which are small beside them, are left out.
        flops: Of the forward, where matrix products outweigh the traffic of memory; the backward of attention has
            five products for the forward's two.
        of_rows: Some rows of the result from those rows of the arguments, where ``cu_seqlens`` cannot just be cut.
    """

    name: str
    draw: Callable[[Shape], Arguments]
    peers: Mapping[str, Callable[..., Outputs]]
    per_token: tuple[str, ...]
    built: Mapping[str, Build] = field(default_factory=dict)
    moved: Callable[[Shape], tuple[int, int]] | None = None
    flops: Callable[[Shape], int] | None = None
    of_rows: Callable[..., Outputs] | None = None

    def implementation(self, name: str, arguments: Arguments) -> Callable[..., Outputs]:
        """Ours, called "flagdit", or a peer, made for these arguments.

        Args:
            name: Of the implementation.
            arguments: What it will be called with.

        Returns:
            A function of the arguments.

        Raises:
            UnavailableError: The peer cannot run here.
        """
        if name == "flagdit":
            ours: Callable[..., Outputs] = getattr(flagdit_kernels, self.name)
            return ours
        return self.peers[name] if name in self.peers else self.built[name](arguments)

    def arguments(self, shape: Shape, dtype: torch.dtype, device: torch.device | str = "cpu") -> Arguments:
        """The arguments in a dtype, differentiable where the operator is; equal for all dtypes but for rounding."""
        torch.manual_seed(0)
        with torch.device(device):
            arguments = self.draw(shape)
        for name, value in arguments.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                constant = name in ("cos", "sin")
                wide = torch.promote_types(dtype, torch.float32)  # angles are never rounded to half precision
                arguments[name] = value.to(wide if constant else dtype).requires_grad_(not constant)
        return arguments

    def work(self, shape: Shape, dtype: torch.dtype, *, backward: bool) -> dict[str, int]:
        """Operations of the matrix products, or else the bytes that a fused form must move.

        Args:
            shape: Sizes.
            dtype: Of the tokens.
            backward: Whether the gradients are computed too.

        Returns:
            ``{"flops": ...}`` or ``{"bytes": ...}``.
        """
        if self.flops is not None:
            forward = self.flops(shape)
            return {"flops": forward + 5 * forward // 2 if backward else forward}
        assert self.moved is not None
        forward, backward_too = self.moved(shape)
        return {"bytes": shape.tokens * dtype.itemsize * (forward + backward_too if backward else forward)}


def _tokens(shape: Shape, *names: str) -> Arguments:
    return {name: torch.randn(shape.tokens, shape.hidden) for name in names}


def _modulation(shape: Shape, *names: str) -> Arguments:
    return {name: torch.randn(shape.segments, shape.hidden) for name in names} | _segments(shape)


def _segments(shape: Shape) -> Arguments:
    bounds = torch.tensor([0, *accumulate(shape.lengths)], dtype=torch.int32)
    return {"cu_seqlens": bounds, "max_seqlen": max(shape.lengths)}


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


OPERATORS = (
    Operator(
        name="rms_norm_modulate",
        draw=lambda s: {**_tokens(s, "x"), "weight": torch.randn(s.hidden), **_modulation(s, "shift", "scale")},
        peers={"eager": eager.rms_norm_modulate},
        built={"compiled": peers.compiled(eager.rms_norm_modulate), "liger": peers.liger_rms_norm_modulate},
        per_token=("x",),
        moved=lambda s: (2 * s.hidden, 3 * s.hidden),
    ),
    Operator(
        name="layer_norm_modulate",
        draw=lambda s: {**_tokens(s, "x"), **_modulation(s, "shift", "scale")},
        peers={"eager": eager.layer_norm_modulate},
        built={"compiled": peers.compiled(eager.layer_norm_modulate)},
        per_token=("x",),
        moved=lambda s: (2 * s.hidden, 3 * s.hidden),
    ),
    Operator(
        name="gated_residual",
        draw=lambda s: {**_tokens(s, "x", "y"), **_modulation(s, "gate")},
        peers={"eager": eager.gated_residual},
        built={"compiled": peers.compiled(eager.gated_residual)},
        per_token=("x", "y"),
        moved=lambda s: (3 * s.hidden, 3 * s.hidden),  # the gradient of x is that of the output, and need not move
    ),
    Operator(
        name="gated_residual_rms_norm_modulate",
        draw=lambda s: {
            **_tokens(s, "x", "y"),
            "weight": torch.randn(s.hidden),
            **_modulation(s, "gate", "shift", "scale"),
        },
        peers={"eager": eager.gated_residual_rms_norm_modulate},
        built={"compiled": peers.compiled(eager.gated_residual_rms_norm_modulate)},
        per_token=("x", "y"),
        moved=lambda s: (4 * s.hidden, 6 * s.hidden),
    ),
    Operator(
        name="qk_norm_rope",
        draw=_draw_qk_norm_rope,
        peers={"eager": eager.qk_norm_rope},
        built={"compiled": peers.compiled(eager.qk_norm_rope)},
        per_token=("qkv", "cos", "sin"),
        moved=lambda s: (4 * s.hidden, 8 * s.hidden),  # values stay where they are, but their gradient joins the others
    ),
    Operator(
        name="swiglu",
        draw=lambda s: {"x": torch.randn(s.tokens, 2 * s.ffn)},
        peers={"eager": eager.swiglu},
        built={"compiled": peers.compiled(eager.swiglu), "liger": peers.liger_swiglu},
        per_token=("x",),
        moved=lambda s: (3 * s.ffn, 5 * s.ffn),
    ),
    Operator(
        name="attention",
        draw=lambda s: {**_heads(s, "q", "k", "v"), **_segments(s)},
        peers={"sdpa": eager.sdpa, "softmax": eager.softmax},
        built={
            "sdpa-cudnn": peers.forced_sdpa("CUDNN_ATTENTION"),
            "sdpa-flash": peers.forced_sdpa("FLASH_ATTENTION"),
            "varlen": peers.varlen,
            "flex": peers.flex,
        },
        per_token=("q",),
        flops=lambda s: 4 * s.hidden * sum(length**2 for length in s.lengths),
        of_rows=eager.attention_of_rows,
    ),
    Operator(
        name="gated_cross_attention",
        draw=_draw_gated_cross_attention,
        peers={"sdpa": eager.gated_cross_attention},
        built={"compiled": peers.compiled(eager.gated_cross_attention, with_lengths=True)},
        per_token=("out", "q"),
        flops=lambda s: 4 * s.tokens * s.text * s.hidden,
    ),
)
