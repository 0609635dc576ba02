"""Flag-DiT, the network of Lumina-T2X (arXiv 2405.05945, section 2.1 and figure 2).

Legend: B latents, L tokens of all of them packed, M text tokens, D hidden, N query heads, G key heads, H head width,
Y text width, A conditioning width.
"""

import math
from pathlib import Path
from typing import Self, cast

import torch
from torch import Tensor, nn

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.layout import NEXT_FRAME, NEXT_LINE, Latents, Layout, Packed, like, pack, unpack
from flagdit_core.model import checkpoint
from flagdit_core.model.block import Block, Context, FinalLayer
from flagdit_core.model.caption import ReadCaption
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.embeddings import TimestepEmbedder, pool_caption
from flagdit_core.model.rope import rotary_cos_sin
from flagdit_kernels import Backend

_SMALL = 0.02  # standard deviation of initial embeddings


class FlagDiT(nn.Module):
    """The velocity field of a flow, over latents of any shapes.

    Args:
        config: Sizes and form of the network.

    Example:
        >>> model = FlagDiT(FlagDiTConfig.preset("nano"))
        >>> velocity = model(torch.randn(2, 8, 16, 16), torch.rand(2), torch.randn(2, 7, 128))
        >>> velocity.shape
        torch.Size([2, 8, 16, 16])
    """

    def __init__(self, config: FlagDiTConfig) -> None:
        super().__init__()
        self.config = config
        self.layout = Layout.of(config)
        self.token_embedder = nn.Linear(config.patch_channels, config.hidden_size)
        if config.next_line:
            self.next_line = nn.Parameter(torch.empty(config.hidden_size))
        if config.next_frame != "never":
            self.next_frame = nn.Parameter(torch.empty(config.hidden_size))
        self.timestep_embedder = TimestepEmbedder(config.conditioning_size)
        if config.caption_size is not None:
            self.caption_embedder = nn.Sequential(
                nn.LayerNorm(config.caption_size), nn.Linear(config.caption_size, config.conditioning_size)
            )
        if config.num_classes is not None:
            self.label_embedder = nn.Embedding(config.num_classes + 1, config.conditioning_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give every weight the value that training starts from; at first the velocity is zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in self.blocks:
            assert isinstance(block, Block)
            block.reset_parameters()
        self.final_layer.reset_parameters()
        self.timestep_embedder.reset_parameters()
        if self.config.caption_size is not None:
            for layer in self.caption_embedder:
                if isinstance(layer, nn.Linear):
                    nn.init.zeros_(layer.weight)
        if self.config.num_classes is not None:
            nn.init.normal_(self.label_embedder.weight, std=_SMALL)
        if self.config.next_line:
            nn.init.normal_(self.next_line, std=_SMALL)
        if self.config.next_frame != "never":
            nn.init.normal_(self.next_frame, std=_SMALL)

    def forward(
        self,
        latents: Latents,
        timesteps: Tensor | float,
        caption: Tensor | ReadCaption | None = None,
        caption_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        ntk_factor: float | Tensor = 1.0,
        rope_scaling_factor: float | Tensor = 1.0,
        base_sequence_length: int | None = None,
        backend: Backend = "auto",
    ) -> Latents:
        r"""The velocity dx/dt at each latent (t = 0 noise, t = 1 data).

        Args:
            latents: (B, C, H, W), (B, C, T, H, W) or (B, C, L), or a list of B unequal items without B.
            timesteps: Time in [0, 1]: (B,), or one number for all. Integers are read as discrete steps by a
                network with ``discrete_timesteps``.
            caption: (B, M, Y) text features, for a text-conditional network; or what :meth:`read_caption` made of them.
            caption_mask: (B, M) bool, True at valid text tokens; all of them by default.
            labels: (B,) integer, for a label-conditional network; ``num_classes`` is the null label.
            ntk_factor: Factor on the rotary base, for sequences longer than in training; a (B,) tensor for one each.
            rope_scaling_factor: Positions are divided by this as well; a (B,) tensor for one each.
            base_sequence_length: Tokens of a training sequence; turns proportional attention on, which scales the
                logits of a latent of n tokens by :math:`\sqrt{\log_{base} n}` (arXiv 2306.08645, section 3.3).
            backend: ``auto``, ``reference`` or ``triton``.

        Returns:
            The velocities, in the type and shape of ``latents``.

        Raises:
            ShapeError: A shape does not fit the configuration, or the batch sizes differ.
            ConfigError: A caption, a label or an option is missing, unexpected or out of range.
            flagdit_kernels.BackendUnavailableError: ``backend="triton"`` cannot run here.
        """
        packed = pack(latents, self.layout)
        lengths_B = packed.cu_seqlens.diff()
        cos_LH, sin_LH = rotary_cos_sin(
            packed.positions,
            lengths_B,
            head_dim=self.config.head_dim,
            theta=self.config.rope_theta,
            ntk_factor=ntk_factor,
            scaling_factor=self.config.rope_scaling_factor * rope_scaling_factor,
        )
        keys_values = caption.keys_values if isinstance(caption, ReadCaption) else [None] * self.config.depth
        conditioning_BA, caption, caption_mask = self._condition(timesteps, caption, caption_mask, labels, packed)
        context = Context(
            conditioning_BA=conditioning_BA,
            caption_BMY=caption,
            caption_mask_BM=caption_mask,
            cos_LH=cos_LH,
            sin_LH=sin_LH,
            cu_seqlens=packed.cu_seqlens,
            max_seqlen=packed.max_seqlen,
            softmax_scale=_proportional_scale(lengths_B, base_sequence_length, self.config.head_dim),
            backend=backend,
        )
        x_LD = self._embed(packed)
        for block, caption_kv in zip(self.blocks, keys_values, strict=True):
            x_LD = block(x_LD, context, caption_kv)
        patches = self.final_layer(x_LD, context)[:, : self.config.patch_channels]
        return like(unpack(patches, packed.shapes, self.layout), latents)

    def read_caption(self, caption: Tensor, caption_mask: Tensor | None = None) -> ReadCaption:
        """What the network reads from captions, for many calls with the same ones.

        Args:
            caption: (B, M, Y) text features.
            caption_mask: (B, M) bool, True at valid text tokens; all of them by default.

        Returns:
            To be given as ``caption`` instead of the features; the velocity is the same.

        Raises:
            ShapeError: A shape does not fit the configuration.
            ConfigError: The network takes labels.
        """
        if self.config.caption_size is None:
            raise ConfigError("this network takes labels and no caption: pass labels=")
        caption, mask = _checked_caption(caption, caption_mask, len(caption), self.config.caption_size)
        return ReadCaption(
            pooled_BA=self._pool(caption, mask),
            mask_BM=mask,
            keys_values=tuple(cast(Block, block).attention.read_caption(caption) for block in self.blocks),
        )

    def _embed(self, packed: Packed) -> Tensor:
        """Patches embedded, with the learnt tokens that close rows and frames."""
        if packed.shapes[0][0] != self.config.in_channels:
            raise ShapeError(f"expected latents of {self.config.in_channels} channels, got {packed.shapes[0][0]}")
        x_LD = self.token_embedder(packed.tokens)
        if self.config.next_line:
            x_LD = torch.where((packed.kinds == NEXT_LINE)[:, None], self.next_line.to(x_LD.dtype), x_LD)
        if self.config.next_frame != "never":
            x_LD = torch.where((packed.kinds == NEXT_FRAME)[:, None], self.next_frame.to(x_LD.dtype), x_LD)
        return x_LD

    def _condition(
        self,
        timesteps: Tensor | float,
        caption: Tensor | ReadCaption | None,
        mask: Tensor | None,
        labels: Tensor | None,
        packed: Packed,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The vector that modulates every block, and the checked caption and mask."""
        batch, config = len(packed.shapes), self.config
        conditioning_BA = self.timestep_embedder(self._times(timesteps, batch, packed.tokens.device))
        if config.num_classes is not None:
            if caption is not None:
                raise ConfigError("this network takes labels and no caption: pass labels=")
            label_BA = self.label_embedder(_checked_labels(labels, batch, config.num_classes))
            return conditioning_BA + label_BA, None, None
        if labels is not None:
            raise ConfigError("this network takes a caption and no labels: pass caption=")
        if isinstance(caption, ReadCaption):
            if mask is not None or len(caption) != batch:
                raise ShapeError(f"expected {batch} captions with their own masks, got {len(caption)}")
            return conditioning_BA + caption.pooled_BA, None, caption.mask_BM
        assert config.caption_size is not None
        caption, mask = _checked_caption(caption, mask, batch, config.caption_size)
        return conditioning_BA + self._pool(caption, mask), caption, mask

    def _pool(self, caption_BMY: Tensor, mask_BM: Tensor) -> Tensor:
        """What captions add to the vector that modulates every block."""
        pooled_BA: Tensor = self.caption_embedder(pool_caption(caption_BMY, mask_BM, self.config.caption_pooling))
        return pooled_BA

    def _times(self, timesteps: Tensor | float, batch: int, device: torch.device) -> Tensor:
        """(B,) float32 times as the timestep embedding reads them."""
        times = torch.as_tensor(timesteps, device=device)
        if times.ndim > 1 or (times.ndim == 1 and len(times) not in (1, batch)):
            raise ShapeError(f"expected one time, or {batch} of them, got shape {tuple(times.shape)}")
        steps = self.config.discrete_timesteps
        if steps is not None and times.is_floating_point():
            times = (times * steps).trunc()
        return times.float().expand(batch)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_embedder.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in."""
        return self.token_embedder.weight.dtype

    def save_pretrained(self, folder: str | Path, *, max_shard_size: str = "5GB") -> None:
        """Write ``config.json`` and safetensors shards.

        Args:
            folder: Made if missing.
            max_shard_size: Largest file, as in ``"5GB"``.
        """
        checkpoint.save(self.state_dict(), self.config.to_dict(), folder, max_shard_size=max_shard_size)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> Self:
        """The network stored in a folder, ready for evaluation.

        Args:
            folder: What :meth:`save_pretrained` wrote.
            dtype: Convert weights to this; as stored by default.
            device: Where to put them.

        Returns:
            The network in evaluation mode.

        Raises:
            CheckpointError: A file is missing, truncated, not what it says, or does not fit the configuration.
        """
        values = checkpoint.read_config(folder)
        with torch.device("meta"):
            model = cls(FlagDiTConfig.from_dict(values))
        checkpoint.load_into(model, checkpoint.read_state_dict(folder), source=str(folder))
        return model.to(device=device, dtype=dtype).eval()


def _checked_caption(
    caption: Tensor | None, mask: Tensor | None, batch: int, caption_size: int
) -> tuple[Tensor, Tensor]:
    """The caption and its mask, whole and of the right shape."""
    if caption is None:
        raise ConfigError("this network needs a caption: pass caption=(B, M, Y) text features")
    if caption.ndim != 3 or caption.shape[0] != batch or caption.shape[2] != caption_size:
        raise ShapeError(f"expected a caption of shape ({batch}, M, {caption_size}), got {tuple(caption.shape)}")
    if mask is None:
        mask = torch.ones(caption.shape[:2], dtype=torch.bool, device=caption.device)
    if mask.shape != caption.shape[:2]:
        raise ShapeError(f"expected a caption mask of shape {tuple(caption.shape[:2])}, got {tuple(mask.shape)}")
    return caption, mask.bool()


def _checked_labels(labels: Tensor | None, batch: int, num_classes: int) -> Tensor:
    """The labels, of the right shape."""
    if labels is None:
        raise ConfigError(f"this network needs labels: pass labels=(B,) integers from 0 to {num_classes} (null)")
    if labels.shape != (batch,):
        raise ShapeError(f"expected labels of shape ({batch},), got {tuple(labels.shape)}")
    return labels


def _proportional_scale(lengths_B: Tensor, base_sequence_length: int | None, head_dim: int) -> Tensor | None:
    """Softmax scale of each latent under proportional attention, or None for the default."""
    if base_sequence_length is None:
        return None
    if base_sequence_length < 2:
        raise ConfigError(f"base_sequence_length must be at least 2, got {base_sequence_length}")
    return (lengths_B.double().log() / math.log(base_sequence_length) / head_dim).sqrt().float()
