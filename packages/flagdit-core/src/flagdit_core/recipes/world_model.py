"""A small pipeline trained on a procedural world from nothing: the recipe of every shipped model."""

from dataclasses import dataclass
from pathlib import Path

import torch

from flagdit_core.devices import pick_device
from flagdit_core.errors import ConfigError
from flagdit_core.flow.timesteps import TimestepDistribution
from flagdit_core.modalities import Modality
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import check_new_folder
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes.encoded import Encode, Stage
from flagdit_core.recipes.medium import Medium, make_and_verify, save_models
from flagdit_core.recipes.networks import Describe, NetworkRecipe, first_networks
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import TrainingConfig, train
from flagdit_core.training.processes import joined

NANO_TRAINING = TrainingConfig(
    num_steps=1,
    batch_size=64,
    optimizer="muon",
    learning_rate=2e-3,
    muon_learning_rate=4e-3,
    betas=(0.9, 0.98),
    gate_learning_rate_multiplier=10.0,
    warmup_steps=200,
    decay="cosine",
    final_learning_rate_fraction=0.02,
    max_grad_norm=1.0,
    ema_decay=0.998,
    precision="bfloat16",
    prefetch_batches=2,
    timesteps=TimestepDistribution(kind="logit-normal", mean=-0.3, std=1.2),
)
"""What the recipes of all small models have in common; each says at least how many steps it takes."""


@dataclass(frozen=True, kw_only=True)
class WorldRecipe(NetworkRecipe):
    """Everything that decides the trained model.

    Attributes:
        codec: Folder of the codec.
        stages: Curriculum over kinds of media; ``training.num_steps`` is the sum of their steps.
        sampling: Defaults of the finished model.
    """

    codec: Path
    stages: tuple[Stage, ...]
    sampling: SamplingSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = sum(stage.steps for stage in self.stages)
        if steps != self.training.num_steps:
            raise ConfigError(
                f"training.num_steps must be the sum of the stages' steps, {steps}, got {self.training.num_steps}"
            )


def train_world_model(
    config: WorldRecipe, modality: Modality, *, encode: Encode, describe: Describe, resume: bool = False
) -> Path:
    """Train a small model and write it as a pipeline folder.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        modality: Whose pipeline and world are used.
        encode: Makes media of a kind and encodes them.
        describe: A caption of the world, for the tokenizer.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    folder, device = config.output_dir / "model", pick_device(config.device)
    check_new_folder(folder)
    torch.set_num_threads(config.num_threads)
    medium = Medium(
        modality=modality, encode=encode, codec=config.codec, stages=config.stages, sampling=config.sampling
    )

    def sample(step: int, model: FlagDiT, text_encoder: TextEncoder | None, folder: Path) -> None:
        assert text_encoder is not None
        made = medium.pipeline(step, model, text_encoder, dtype=torch.float32)
        make_and_verify(made, modality, step, folder, prompts=config.sampled_prompts)

    with joined(device) as processes:
        processes.share(config.training.batch_size)  # or refuse before anything is encoded
        model, text_encoder = first_networks(config, describe)
        encoded = config.output_dir / "encoded"
        source = medium.encoded(encoded, seed=config.training.seed, workers=config.workers, processes=processes)
        result = train(
            model.to(device),
            text_encoder.to(device),
            source,
            config.training,
            config.output_dir,
            resume=resume,
            sample=sample,
        )
    if not result.finished:
        return result.checkpoint
    save_models(result, {folder: medium})
    return folder
