"""Wrong arguments raise one line that says what was expected and what came."""

import pytest
import torch

import flagdit_kernels as fk

from .cases import CASES, LAYOUTS

WRONG = {
    "x axes": ("rms_norm_modulate", "x", lambda x: x[0], "x must have 2 axes"),
    "weight": ("rms_norm_modulate", "weight", lambda w: w[:-1], r"weight must have shape \(12,\), got \(11,\)"),
    "scale rows": ("layer_norm_modulate", "scale", lambda s: s[:-1], r"scale must have shape \(4, 12\)"),
    "bounds dtype": ("gated_residual", "cu_seqlens", torch.Tensor.long, "cu_seqlens must be 1-D int32"),
    "y": ("gated_residual_rms_norm_modulate", "y", lambda y: y[1:], "y must have shape"),
    "odd width": ("swiglu", "x", lambda x: x[:, 1:], "even width, got 9"),
    "projection": ("qk_norm_rope, LayerNorm", "qkv", lambda x: x[:, 1:], "qkv must have shape"),
    "bias alone": ("qk_norm_rope, LayerNorm", "q_weight", lambda w: None, "q_bias needs q_weight"),
    "heads": ("attention", "k", lambda k: k.repeat(1, 2, 1), "v must have shape"),
    "scales": ("attention, scale per segment", "softmax_scale", lambda s: s[1:], "softmax_scale must have shape"),
    "negative scale": ("attention, one scale", "softmax_scale", lambda s: -s, "softmax_scale must not be negative"),
    "mask dtype": ("gated_cross_attention", "mask", torch.Tensor.int, "mask must be bool"),
    "text": ("gated_cross_attention", "k", lambda k: k[0], "k must have 4 axes"),
}


@pytest.mark.parametrize(("name", "argument", "spoil", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_raise(name, argument, spoil, message):
    """A spoilt argument is a ValueError naming it."""
    case = CASES[name]
    inputs = case.inputs(LAYOUTS["ragged"], torch.float32)
    case.public(inputs)
    inputs[argument] = spoil(inputs[argument])
    with pytest.raises(ValueError, match=message):
        case.public(inputs)


def test_heads_must_divide():
    """Four query heads cannot share three key heads."""
    q, k = torch.randn(5, 4, 8), torch.randn(5, 3, 8)
    with pytest.raises(ValueError, match="k's heads must divide q's, got 3 and 4"):
        fk.attention(q, k, k, torch.tensor([0, 5], dtype=torch.int32), 5)
