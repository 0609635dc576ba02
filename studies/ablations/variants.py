"""The variants: the baseline, and what is changed in each of the others."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import torch

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.flow import TimestepDistribution
from flagdit_core.layout import Layout
from flagdit_core.recipes import NANO_TRAINING
from flagdit_core.training import TrainingConfig
from studies.ablations.networks import with_layer_norm, with_learnt_positions

Group = Literal["network", "training"]
LATENT_SHAPE: Final = (8, 1, 8, 8)
"""(C, T, H, W) of a picture of 64 x 64 pixels under the shipped VAE."""
CAPTION_SIZE: Final = 64
"""Width of the text encoder."""

NETWORK: Final = FlagDiTConfig(
    in_channels=8,
    hidden_size=64,
    depth=4,
    num_heads=4,
    num_kv_heads=4,
    ffn_hidden_size=160,
    conditioning_size=64,
    caption_size=CAPTION_SIZE,
    caption_pooling="last",
    next_frame="always",
    rope_theta=500.0,
)
"""The baseline's network: the nano preset, narrower and shallower."""

TRAINING: Final = replace(NANO_TRAINING, warmup_steps=40, ema_decay=0.99, prefetch_batches=0)
"""The baseline's training: the nano recipe, with a warm-up and an average that fit a run of a few hundred updates."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One thing changed.

    Attributes:
        changed: What, in words for a table.
        group: Whether it is about the network, as the paper's ablation is, or about our training.
        network: Changes to ``NETWORK``.
        training: Changes to ``TRAINING``.
        alter: Replaces parts of the built network.
        updates: Factor on the number of updates, where an update costs something else.
    """

    changed: str
    group: Group
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    alter: Callable[[FlagDiT], None] | None = None
    updates: float = 1.0

    def model(self, *, seed: int) -> FlagDiT:
        """The network before the first update, float32 on the CPU; the global random state is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = FlagDiT(replace(NETWORK, **self.network))
            if self.alter is not None:
                self.alter(model)
        return model

    def training_config(self, *, num_steps: int, seed: int) -> TrainingConfig:
        """The settings of a run.

        Args:
            num_steps: Updates of the baseline.
            seed: Of the run.

        Returns:
            The recipe's settings with this variant's changes.
        """
        return replace(TRAINING, num_steps=round(num_steps * self.updates), seed=seed, **self.training)


def _learnt_positions(model: FlagDiT) -> None:
    with_learnt_positions(model, num_positions=Layout.of(model.config).sequence_length(LATENT_SHAPE))


_TIMES = TRAINING.timesteps
BASELINE: Final = "flag-dit"
VARIANTS: Final[dict[str, Variant]] = {
    BASELINE: Variant(changed="nothing: the baseline", group="network"),
    "layer-norm": Variant(changed="LayerNorm for RMSNorm", group="network", alter=with_layer_norm),
    "no-kq-norm": Variant(changed="no KQ-norm", group="network", network={"qk_norm": False}),
    "learnt-positions": Variant(
        changed="learnt absolute positions for RoPE",
        group="network",
        network={"rope_scaling_factor": math.inf},  # positions over infinity: no token is turned
        alter=_learnt_positions,
    ),
    "ddpm": Variant(
        changed="DDPM: predicts noise on the VP path, uniform times",
        group="network",
        training={"path": "vp", "prediction": "noise", "timesteps": TimestepDistribution(high=1 - 1e-5)},
    ),
    "no-separators": Variant(
        changed="no `[nextline]`, no `[nextframe]`",
        group="network",
        network={"next_line": False, "next_frame": "never"},
    ),
    "adamw": Variant(
        changed="AdamW alone at 3e-3",
        group="training",
        training={"optimizer": "adamw", "learning_rate": 3e-3},
    ),
    "adamw-slow": Variant(
        changed="AdamW alone at 1.5e-3",
        group="training",
        training={"optimizer": "adamw", "learning_rate": 1.5e-3},
    ),
    "adamw-fast": Variant(
        changed="AdamW alone at 6e-3",
        group="training",
        training={"optimizer": "adamw", "learning_rate": 6e-3},
    ),
    "uniform-times": Variant(
        changed="uniform times", group="training", training={"timesteps": TimestepDistribution(kind="uniform")}
    ),
    "noisy-times": Variant(
        changed="times shifted to noise by 3", group="training", training={"timesteps": replace(_TIMES, shift=3.0)}
    ),
    "no-dropout": Variant(changed="no caption dropout", group="training", training={"caption_dropout": 0.0}),
    "slow-gates": Variant(
        changed="gates learn as fast as the rest", group="training", training={"gate_learning_rate_multiplier": 1.0}
    ),
    "wide": Variant(
        changed="width 96 for 64, 0.44 of the updates",
        group="training",
        network={"hidden_size": 96, "ffn_hidden_size": 240, "conditioning_size": 96},
        updates=(64 / 96) ** 2,
    ),
}
"""In the order in which they are run and shown."""
