"""LayerNorm without affine, with modulation, in plain PyTorch."""

from torch import Tensor
from torch.nn import functional as F

from flagdit_kernels.ops.rms_norm_modulate.reference import modulate
from flagdit_kernels.segments import compute_dtype


def forward(
    x_LD: Tensor, shift_BD: Tensor, scale_BD: Tensor, cu_seqlens: Tensor, max_seqlen: int, eps: float
) -> Tensor:
    """``LN(x) * (1 + scale) + shift``; the norm in float32, rounded to x's dtype before the modulation."""
    normed_LD = F.layer_norm(x_LD.to(compute_dtype(x_LD)), x_LD.shape[-1:], eps=eps).to(x_LD.dtype)
    return modulate(normed_LD, shift_BD, scale_BD, cu_seqlens, max_seqlen)
