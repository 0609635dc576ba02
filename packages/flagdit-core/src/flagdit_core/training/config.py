"""Settings of a training run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from flagdit_core.errors import ConfigError
from flagdit_core.flow.losses import Weighting
from flagdit_core.flow.paths import get_path
from flagdit_core.flow.predictions import Prediction
from flagdit_core.flow.timesteps import TimestepDistribution

Decay = Literal["constant", "cosine", "linear"]
OptimizerName = Literal["adamw", "muon"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything but the networks and the data. Defaults follow the authors' training of Lumina-T2X.

    Attributes:
        num_steps: Steps of the whole run, of one update each if nothing else is said; the schedule ends there.
        batch_size: Examples of an update, in all processes together.
        micro_batch_size: Examples that a process computes at a time, its gradients being summed up; None for all of
            its share. Less takes less memory.
        updates_per_batch: Times that a batch is learnt from in a step, at other times and with other noise.
        reward_strength: The beta of ``flow.reward_loss``, for batches with rewards.
        optimizer: "adamw" for everything, or "muon" for the matrices inside the blocks and AdamW for the rest.
        learning_rate: Peak of AdamW's.
        muon_learning_rate: Peak of Muon's, on AdamW's scale.
        betas: AdamW's.
        weight_decay: On matrices only.
        gate_learning_rate_multiplier: Factor on the learning rate of the text attention's gates.
        warmup_steps: Steps over which the learning rate rises linearly.
        decay: Its course afterwards.
        final_learning_rate_fraction: Of the peak, where the decay ends.
        max_grad_norm: Gradients are scaled down to this Euclidean norm.
        ema_decay: Of the averaged weights, in [0, 1).
        caption_dropout: Fraction of captions (or labels) replaced by the null prompt (or null label), for
            classifier-free guidance.
        precision: "bfloat16" computes under autocast; weights, optimizer and losses stay float32.
        compile: Run the network through ``torch.compile``.
        activation_checkpointing: Recompute each block in the backward pass: less memory, one more forward pass.
        prefetch_batches: Batches that a thread makes ahead.
        seed: Of data order, times, noise and dropped captions.
        log_every: Steps between rows of scalars.
        sample_every: Steps between samples.
        checkpoint_every: Steps between checkpoints.
        keep_checkpoints: Newest ones that are kept.
        tensorboard: Write TensorBoard events too.
        timesteps: Distribution of the training times.
        path: Name of the path from noise to data.
        prediction: What the network predicts.
        weighting: How the loss is weighted over time.

    Raises:
        ConfigError: A value is out of its range.
    """

    num_steps: int
    batch_size: int
    micro_batch_size: int | None = None
    updates_per_batch: int = 1
    reward_strength: float = 1.0
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 1e-4
    muon_learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    gate_learning_rate_multiplier: float = 1.0
    warmup_steps: int = 0
    decay: Decay = "constant"
    final_learning_rate_fraction: float = 0.0
    max_grad_norm: float = 2.0
    ema_decay: float = 0.9999
    caption_dropout: float = 0.1
    precision: Precision = "float32"
    compile: bool = False
    activation_checkpointing: bool = False
    prefetch_batches: int = 0
    seed: int = 0
    log_every: int = 50
    sample_every: int = 1000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2
    tensorboard: bool = False
    timesteps: TimestepDistribution = field(default_factory=lambda: TimestepDistribution(kind="logit-normal"))
    path: str = "linear"
    prediction: Prediction = "velocity"
    weighting: Weighting = "none"

    def __post_init__(self) -> None:
        counts = ("num_steps", "batch_size", "updates_per_batch", "log_every", "sample_every", "checkpoint_every")
        for name in (*counts, "keep_checkpoints"):
            self._require(name, lambda value: value >= 1, "at least 1")
        self._require("micro_batch_size", lambda value: value is None or value >= 1, "None or at least 1")
        for name in ("warmup_steps", "prefetch_batches", "seed", "weight_decay"):
            self._require(name, lambda value: value >= 0, "at least 0")
        rates = ("learning_rate", "muon_learning_rate", "gate_learning_rate_multiplier")
        for name in (*rates, "max_grad_norm", "reward_strength"):
            self._require(name, lambda value: value > 0, "above 0")
        for name in ("final_learning_rate_fraction", "caption_dropout"):
            self._require(name, lambda value: 0 <= value <= 1, "in [0, 1]")
        self._require("ema_decay", lambda value: 0 <= value < 1, "in [0, 1)")
        self._require("betas", lambda value: len(value) == 2 and all(0 <= beta < 1 for beta in value), "two in [0, 1)")
        self._require("decay", get_args(Decay).__contains__, f"one of {get_args(Decay)}")
        self._require("optimizer", get_args(OptimizerName).__contains__, f"one of {get_args(OptimizerName)}")
        self._require("precision", get_args(Precision).__contains__, f"one of {get_args(Precision)}")
        self._require("prediction", get_args(Prediction).__contains__, f"one of {get_args(Prediction)}")
        self._require("weighting", get_args(Weighting).__contains__, f"one of {get_args(Weighting)}")
        get_path(self.path)

    def _require(self, name: str, holds: Callable[[Any], bool], expected: str) -> None:
        value = getattr(self, name)
        if not holds(value):
            raise ConfigError(f"{name} must be {expected}, got {value!r}")

    def check_for_pipelines(self) -> None:
        """Refuse what a pipeline, which follows velocities, would not sample rightly.

        Raises:
            ConfigError: The network would predict something else.
        """
        self._require("prediction", "velocity".__eq__, "'velocity' in a recipe, whose pipeline follows it")

    def as_dict(self) -> dict[str, Any]:
        """All settings, ready for JSON."""
        return asdict(self)
