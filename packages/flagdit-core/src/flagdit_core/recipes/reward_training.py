"""What decides a training by verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes.encoded import Stage
from flagdit_core.recipes.world_model import NANO_TRAINING
from flagdit_core.training import TrainingConfig

REWARD_TRAINING = replace(
    NANO_TRAINING,
    batch_size=96,
    updates_per_batch=4,
    learning_rate=1e-4,
    muon_learning_rate=2e-4,
    warmup_steps=5,
    ema_decay=0.5,
    prefetch_batches=0,
    log_every=5,
    sample_every=25,
    checkpoint_every=5,
)
"""For small models on CPUs; a recipe says at least how many steps it takes."""


@dataclass(frozen=True, kw_only=True)
class RewardTraining:
    """Everything that decides the trained model.

    Attributes:
        output_dir: Receives checkpoints, scalars, samples, ``rollouts.csv`` and the finished ``model`` folder.
        model: Pipeline to start from: "nano", a folder, or a hub id. Its text encoder is trained too.
        sampling: How the samples that are judged are made.
        finished_sampling: How the finished model samples unless told otherwise, here and in held-out samples; None for
            as the judged ones. Little guidance leaves more to be learnt, and more of it then still helps.
        sizes: (width, height) of the samples, one for each step in turn; None for the model's own.
        group_size: Samples of each prompt, whose scores are compared.
        shares: Category of prompts to its share; those that are not named have none. Empty for all alike.
        examples: Curriculum over media of the world, to hold on to while learning from samples.
        num_examples: Of these in each step, beside the samples; each is as good as can be.
        workers: Processes that encode them.
        mixing: Share of the trained weights in the finished ones; the others are those of ``model``. The mean of both
            keeps more of what only ``model`` can do (WiSE-FT, arXiv 2109.01903) and less of the verdicts' noise.
        device: Where to train, such as "cpu" or "cuda:1"; by default a GPU if there is one.
        num_threads: CPU threads of the training.
        sampled_prompts: Held-out prompts made and verified at every sample.
        training: Optimiser, schedule, times and logging; a batch is ``batch_size / group_size`` prompts, and
            ``ema_decay`` that of the weights that make the samples.

    Raises:
        ConfigError: A number is out of its range, there are no examples, or the network would not predict velocities.
    """

    output_dir: Path
    model: str = "nano"
    sampling: SamplingSettings
    finished_sampling: SamplingSettings | None = None
    sizes: tuple[tuple[int, int] | None, ...] = (None,)
    group_size: int = 6
    shares: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[Stage, ...] = ()
    num_examples: int = 0
    workers: int = 2
    mixing: float = 1.0
    device: str | None = None
    num_threads: int = 1
    sampled_prompts: int = 64
    training: TrainingConfig

    def __post_init__(self) -> None:
        self.training.check_for_pipelines()
        if self.group_size < 2 or self.training.batch_size % self.group_size:
            raise ConfigError(
                "expected a group_size of 2 or more that divides training.batch_size, "
                f"got {self.group_size} and {self.training.batch_size}"
            )
        if not self.sizes:
            raise ConfigError("expected at least one of sizes, which may be None for the model's own")
        if self.num_examples < 0 or (self.num_examples and not self.examples):
            raise ConfigError(f"expected num_examples of 0, or more of some examples, got {self.num_examples}")
        if not 0 < self.mixing <= 1:
            raise ConfigError(f"expected mixing in (0, 1], got {self.mixing}")
