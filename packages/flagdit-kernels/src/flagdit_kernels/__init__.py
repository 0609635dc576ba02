"""Operators of Flag-DiT on packed tokens: a plain PyTorch reference of each, and Triton versions."""

from flagdit_kernels.backends import OPERATORS, Backend, explain
from flagdit_kernels.errors import BackendUnavailableError
from flagdit_kernels.ops.attention import attention
from flagdit_kernels.ops.gated_cross_attention import gated_cross_attention
from flagdit_kernels.ops.gated_residual import gated_residual
from flagdit_kernels.ops.gated_residual_rms_norm_modulate import gated_residual_rms_norm_modulate
from flagdit_kernels.ops.layer_norm_modulate import layer_norm_modulate
from flagdit_kernels.ops.qk_norm_rope import qk_norm_rope
from flagdit_kernels.ops.rms_norm_modulate import rms_norm_modulate
from flagdit_kernels.ops.swiglu import swiglu

__all__ = [
    "OPERATORS",
    "Backend",
    "BackendUnavailableError",
    "attention",
    "explain",
    "gated_cross_attention",
    "gated_residual",
    "gated_residual_rms_norm_modulate",
    "layer_norm_modulate",
    "qk_norm_rope",
    "rms_norm_modulate",
    "swiglu",
]
