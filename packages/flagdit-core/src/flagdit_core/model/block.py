"""One block of Flag-DiT, and the layer after the last (Lumina-T2X, arXiv 2405.05945, section 2.1 and figure 2).

Legend: B latents, L tokens of all of them packed, M text tokens, D hidden, N query heads, G key heads, H head width,
Y text width, A conditioning width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flagdit_core.model.config import FlagDiTConfig
from flagdit_kernels import (
    Backend,
    attention,
    gated_cross_attention,
    gated_residual,
    gated_residual_rms_norm_modulate,
    layer_norm_modulate,
    qk_norm_rope,
    rms_norm_modulate,
    swiglu,
)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every block of one forward pass shares."""

    conditioning_BA: Tensor
    caption_BMY: Tensor | None
    caption_mask_BM: Tensor | None
    cos_LH: Tensor
    sin_LH: Tensor
    cu_seqlens: Tensor
    max_seqlen: int
    softmax_scale: Tensor | None
    backend: Backend

    @property
    def segments(self) -> tuple[Tensor, int]:
        """``cu_seqlens`` and ``max_seqlen``, as the operators take them."""
        return self.cu_seqlens, self.max_seqlen


class Attention(nn.Module):
    """Self-attention with KQ-norm and RoPE, plus zero-initialised gated attention to the text."""

    def __init__(self, config: FlagDiTConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = config.num_heads, config.num_kv_heads, config.head_dim
        kv_size = config.num_kv_heads * config.head_dim
        self.qkv = nn.Linear(config.hidden_size, config.hidden_size + 2 * kv_size, bias=False)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.q_norm = nn.LayerNorm(config.hidden_size) if config.qk_norm else None
        self.k_norm = nn.LayerNorm(kv_size) if config.qk_norm else None
        self.has_caption = config.caption_size is not None
        if config.caption_size is not None:
            self.caption_norm = nn.RMSNorm(config.caption_size, eps=config.norm_eps)
            self.caption_kv = nn.Linear(config.caption_size, 2 * kv_size, bias=False)
            self.caption_k_norm = nn.LayerNorm(kv_size) if config.qk_norm else nn.Identity()
            self.gate = nn.Parameter(torch.zeros(config.num_heads))

    def read_caption(self, caption_BMY: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, M, G, H) of the captions, which are the same at every time and for every latent."""
        k_BMD, v_BMD = self.caption_kv(self.caption_norm(caption_BMY)).chunk(2, dim=-1)
        k_BMGH = self.caption_k_norm(k_BMD).to(v_BMD.dtype).unflatten(-1, (self.num_kv_heads, self.head_dim))
        return k_BMGH, v_BMD.unflatten(-1, (self.num_kv_heads, self.head_dim))

    def forward(self, x_LD: Tensor, context: Context, caption_kv: tuple[Tensor, Tensor] | None) -> Tensor:
        """Attention of each token to its own latent and to its own caption, whose keys and values may be given."""
        q_norm, k_norm = self.q_norm, self.k_norm
        q_LNH, k_LGH, v_LGH = qk_norm_rope(
            self.qkv(x_LD),
            q_norm.weight if q_norm else None,
            q_norm.bias if q_norm else None,
            k_norm.weight if k_norm else None,
            k_norm.bias if k_norm else None,
            context.cos_LH,
            context.sin_LH,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            backend=context.backend,
        )
        out_LNH = attention(
            q_LNH, k_LGH, v_LGH, *context.segments, softmax_scale=context.softmax_scale, backend=context.backend
        )
        if self.has_caption:
            out_LNH = self._add_caption(out_LNH, q_LNH, context, caption_kv)
        return self.out(out_LNH.flatten(1))

    def _add_caption(
        self, out_LNH: Tensor, q_LNH: Tensor, context: Context, caption_kv: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """The self-attention output plus tanh(gate) times attention to the caption."""
        mask_BM = context.caption_mask_BM
        assert mask_BM is not None
        if caption_kv is None:
            assert context.caption_BMY is not None
            caption_kv = self.read_caption(context.caption_BMY)
        return gated_cross_attention(
            out_LNH, q_LNH, *caption_kv, self.gate, mask_BM, *context.segments, backend=context.backend
        )


class FeedForward(nn.Module):
    """SwiGLU: ``down(silu(gate) * up)``."""

    def __init__(self, config: FlagDiTConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.ffn_hidden_size, bias=False)
        self.down = nn.Linear(config.ffn_hidden_size, config.hidden_size, bias=False)

    def forward(self, x_LD: Tensor, context: Context) -> Tensor:
        """The layer applied to each token."""
        return self.down(swiglu(self.gate_up(x_LD), backend=context.backend))


class Block(nn.Module):
    """One block: modulated attention and modulated feed-forward, each behind a gate."""

    def __init__(self, config: FlagDiTConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.modulation = nn.Linear(config.conditioning_size, 6 * config.hidden_size)
        self.norm_eps = config.norm_eps

    def reset_parameters(self) -> None:
        """Initial weights: the block is the identity; the parts of a fused matrix are drawn one by one."""
        attention = self.attention
        kv_size = attention.num_kv_heads * attention.head_dim
        parts = [*attention.qkv.weight.split([attention.qkv.out_features - 2 * kv_size, kv_size, kv_size])]
        parts += self.feed_forward.gate_up.weight.chunk(2)
        if attention.has_caption:
            parts += attention.caption_kv.weight.chunk(2)
            nn.init.zeros_(attention.gate)
        for part in parts:
            nn.init.xavier_uniform_(part)
        nn.init.zeros_(self.modulation.weight)

    def forward(self, x_LD: Tensor, context: Context, caption_kv: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The tokens after this block; what it reads from the captions is computed here unless it is given."""
        segments, eps, backend = context.segments, self.norm_eps, context.backend
        modulation_BD6 = self.modulation(F.silu(context.conditioning_BA))
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = modulation_BD6.chunk(6, dim=1)
        h_LD = rms_norm_modulate(
            x_LD, self.attention_norm.weight, shift_a, scale_a, *segments, eps=eps, backend=backend
        )
        h_LD = self.attention(h_LD, context, caption_kv)
        x_LD, h_LD = gated_residual_rms_norm_modulate(
            x_LD, h_LD, gate_a, self.ffn_norm.weight, shift_f, scale_f, *segments, eps=eps, backend=backend
        )
        h_LD = self.feed_forward(h_LD, context)
        return gated_residual(x_LD, h_LD, gate_f, *segments, backend=backend)


class FinalLayer(nn.Module):
    """LayerNorm, modulation, and the projection of each token to its patch."""

    def __init__(self, config: FlagDiTConfig) -> None:
        super().__init__()
        self.modulation = nn.Linear(config.conditioning_size, 2 * config.hidden_size)
        self.linear = nn.Linear(config.hidden_size, config.out_channels)

    def reset_parameters(self) -> None:
        """Initial weights: the velocity is zero."""
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x_LD: Tensor, context: Context) -> Tensor:
        """(L, values of a patch)."""
        shift, scale = self.modulation(F.silu(context.conditioning_BA)).chunk(2, dim=1)
        return self.linear(layer_norm_modulate(x_LD, shift, scale, *context.segments, backend=context.backend))
