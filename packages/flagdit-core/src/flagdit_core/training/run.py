"""One run: its networks, optimizer, average and folder, and what is done with them at a step."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder, TokenBatch
from flagdit_core.training.checkpoint import (
    TrainingState,
    latest_checkpoint,
    load_checkpoint,
    read_state,
    save_checkpoint,
)
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.data import Batch, step_generator
from flagdit_core.training.ema import Ema
from flagdit_core.training.optimizer import build_optimizers, learning_rate_factor, set_learning_rate
from flagdit_core.training.step import training_loss

logger = logging.getLogger(__name__)
Sample = Callable[[int, FlagDiT, TextEncoder | None, Path], None]


class Run:
    """The parts of a run that its steps share.

    Args:
        model: The network, on the device to train on.
        text_encoder: Trained where its parameters require gradients; None for a label-conditional network.
        config: All settings.
        run_dir: The run's folder.
        sample: Writes samples, if given.

    Raises:
        ConfigError: There is nothing to train, or not in float32, or the text encoder is missing or not wanted.
    """

    def __init__(
        self,
        model: FlagDiT,
        text_encoder: TextEncoder | None,
        config: TrainingConfig,
        run_dir: Path,
        sample: Sample | None,
    ) -> None:
        self.model, self.text_encoder, self.config = model, text_encoder, config
        self.run_dir, self.sample = run_dir, sample
        self.device = model.device
        self.null = _null_condition(model, text_encoder)
        networks = nn.ModuleDict({"model": model} | ({} if text_encoder is None else {"text_encoder": text_encoder}))
        self.trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
        if odd := {str(parameter.dtype) for parameter in self.trained} - {"torch.float32"}:
            raise ConfigError(f"expected float32 weights to train, got {', '.join(odd)}: call .float() on the networks")
        self.state = TrainingState(
            parameters=dict(networks.named_parameters()),
            buffers=dict(networks.named_buffers()),
            optimizers=build_optimizers(networks.named_parameters(), config),
            ema=Ema(networks.named_parameters(), config.ema_decay),
        )

    def begin(self, *, resume: bool) -> int:
        """Read the latest checkpoint, or make sure that there is none.

        A run that has made all its steps is read too: it may have been killed before its results were written.

        Args:
            resume: Which of the two.

        Returns:
            Updates already made.

        Raises:
            CheckpointError: There is nothing to resume, or it belongs to other networks.
            ConfigError: The folder holds a run that is not to be resumed, or one with more steps than asked for.
        """
        latest = latest_checkpoint(self.run_dir)
        if not resume:
            if latest is not None:
                raise ConfigError(
                    f"{self.run_dir} already holds a run ({latest.name}): resume it, or use another folder"
                )
            self.run_dir.mkdir(parents=True, exist_ok=True)
            return 0
        if latest is None:
            raise CheckpointError(f"nothing to resume in {self.run_dir}: start without resume, or use another folder")
        step = load_checkpoint(latest, self.state)
        if step > self.config.num_steps:
            raise ConfigError(
                f"{latest} has made {step} steps, more than num_steps = {self.config.num_steps}: raise it"
            )
        before, now = read_state(latest)["settings"], json.loads(json.dumps(self.config.as_dict()))
        for name in sorted(name for name in now if before.get(name) != now[name]):
            logger.warning("resumed with %s = %s, it was %s", name, now[name], before.get(name))
        return step

    def set_mode(self, *, training: bool) -> None:
        """Training or evaluation mode; a frozen text encoder stays in evaluation mode, without dropout."""
        self.model.train(training)
        if self.text_encoder is not None:
            self.text_encoder.train(training and self.text_encoder.is_trained)

    def update(self, batch: Batch, index: int) -> tuple[Tensor, Tensor]:
        """Make one update.

        Args:
            batch: To learn from.
            index: Number of the update, from 0.

        Returns:
            Loss and gradient norm, scalars on the device that nothing has waited for yet.
        """
        config = self.config
        for optimizer in self.state.optimizers:
            set_learning_rate(optimizer, learning_rate_factor(index, config))
        generator = step_generator(config.seed, index, self.device)
        torch.manual_seed(generator.initial_seed())  # for dropout layers of a text encoder that is trained too
        loss = training_loss(
            self.model, self.text_encoder, batch, config, null=self.null, device=self.device, generator=generator
        )
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.trained, config.max_grad_norm, foreach=True)
        for optimizer in self.state.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.state.ema.update(index)
        return loss.detach(), norm

    def save(self, step: int) -> Path:
        """Write a checkpoint of the state after ``step`` updates; its folder."""
        return save_checkpoint(
            self.run_dir, step, self.state, settings=self.config.as_dict(), keep=self.config.keep_checkpoints
        )

    @torch.no_grad()
    def draw(self, step: int) -> None:
        """Let ``sample``, if there is one, work with the averaged weights."""
        if self.sample is None:
            return
        folder = self.run_dir / "samples"
        folder.mkdir(exist_ok=True)
        self.set_mode(training=False)
        with self.state.ema.applied():
            self.sample(step, self.model, self.text_encoder, folder)
        self.set_mode(training=True)


def _null_condition(model: FlagDiT, text_encoder: TextEncoder | None) -> TokenBatch | int:
    """What a dropped caption or label is replaced by."""
    if text_encoder is not None:
        if model.config.num_classes is not None:
            raise ConfigError("this network takes labels: expected no text encoder")
        return text_encoder.tokenize([text_encoder.config.null_prompt])
    if model.config.num_classes is None:
        raise ConfigError("this network takes captions: expected a text encoder, got none")
    return model.config.num_classes
