"""Gated attention to the text, added to the self-attention output, in plain PyTorch."""

import torch
from einops import rearrange
from torch import Tensor

from flagdit_kernels.ops.attention.reference import batched_attention
from flagdit_kernels.segments import are_equal


def forward(
    out_LNH: Tensor,
    q_LNH: Tensor,
    k_BTGH: Tensor,
    v_BTGH: Tensor,
    gate_N: Tensor,
    mask_BT: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
) -> Tensor:
    """``out + tanh(gate) * softmax(q k^T / sqrt(H), where mask) v``; a fully masked text adds nothing."""
    softmax_scale = q_LNH.shape[-1] ** -0.5
    present_B1 = mask_BT.any(-1, keepdim=True)
    mask_BT = mask_BT | ~present_B1  # a row without any key would give NaN; its result is multiplied by zero
    factor_BN = (present_B1 * torch.tanh(gate_N)).to(out_LNH.dtype)
    k = rearrange(k_BTGH.to(q_LNH.dtype), "b t g h -> b g t h")
    v = rearrange(v_BTGH.to(q_LNH.dtype), "b t g h -> b g t h")
    num_segments = cu_seqlens.shape[0] - 1
    if are_equal(q_LNH.shape[0], cu_seqlens, max_seqlen):
        q = rearrange(q_LNH, "(b l) n h -> b n l h", b=num_segments)
        text = rearrange(batched_attention(q, k, v, softmax_scale, mask_BT), "b n l h -> b l n h")
        out = out_LNH.unflatten(0, (num_segments, max_seqlen))
        return torch.addcmul(out, factor_BN[:, None, :, None], text.to(out.dtype)).flatten(0, 1)
    lengths: list[int] = cu_seqlens.diff().tolist()
    outputs = []
    for b, (out, q) in enumerate(zip(out_LNH.split(lengths), q_LNH.split(lengths), strict=True)):
        q = rearrange(q, "l n h -> 1 n l h")
        text = batched_attention(q, k[b : b + 1], v[b : b + 1], softmax_scale, mask_BT[b : b + 1])
        outputs.append(torch.addcmul(out, factor_BN[b, None, :, None], rearrange(text, "1 n l h -> l n h").to(out.dtype)))
    return torch.cat(outputs)
