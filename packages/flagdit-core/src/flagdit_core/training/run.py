"""One run: its networks, optimizer, average and folder, and what is done with them at a step."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.layout import Latents
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
from flagdit_core.training.data import Batch, BatchSource, Rollouts, step_generator
from flagdit_core.training.ema import Ema
from flagdit_core.training.optimizer import build_optimizers, learning_rate_factor, set_learning_rate
from flagdit_core.training.processes import ALONE, Processes, empty, fill, forget_gathered, whole
from flagdit_core.training.step import draw, predict, training_loss

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
        processes: Those that train together. Where they are several, the networks are empty until :meth:`end`.

    Raises:
        ConfigError: There is nothing to train, or not in float32, the text encoder is missing or not wanted, or the
            processes cannot share a batch.
    """

    def __init__(
        self,
        model: FlagDiT,
        text_encoder: TextEncoder | None,
        config: TrainingConfig,
        run_dir: Path,
        sample: Sample | None,
        processes: Processes = ALONE,
    ) -> None:
        self.config, self.run_dir, self.sample, self.processes = config, run_dir, sample, processes
        self.device = model.device
        self.null = _null_condition(model, text_encoder)
        processes.share(config.batch_size)  # or refuse before anything is begun
        self.given = nn.ModuleDict({"model": model} | ({} if text_encoder is None else {"text_encoder": text_encoder}))
        trained = [parameter for parameter in self.given.parameters() if parameter.requires_grad]
        if odd := {str(parameter.dtype) for parameter in trained} - {"torch.float32"}:
            raise ConfigError(f"expected float32 weights to train, got {', '.join(odd)}: call .float() on the networks")
        self.networks = processes.spread(self.given)
        self.trained = [parameter for parameter in self.networks.parameters() if parameter.requires_grad]
        self.state = TrainingState(
            parameters=dict(self.networks.named_parameters()),
            buffers=dict(self.networks.named_buffers()),
            optimizers=build_optimizers(self.networks.named_parameters(), config),
            ema=Ema(self.networks.named_parameters(), config.ema_decay),
        )

    @property
    def model(self) -> FlagDiT:
        """The network that computes."""
        return cast(FlagDiT, self.networks["model"])

    @property
    def text_encoder(self) -> TextEncoder | None:
        """The text encoder that computes."""
        return cast(TextEncoder, self.networks["text_encoder"]) if "text_encoder" in self.networks else None

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

    def batch(self, source: BatchSource | Rollouts, index: int) -> Batch:
        """The batch of a step, from data or from the averaged networks.

        Args:
            source: Of the batches.
            index: Number of the step, from 0.

        Returns:
            The batch.
        """
        size, seed = self.config.batch_size, self.config.seed
        if not isinstance(source, Rollouts):
            return source.batch(index, batch_size=size, seed=seed)
        with torch.no_grad(), self._averaged():
            return source.source.batch(index, batch_size=size, seed=seed)

    def update(self, batch: Batch, index: int) -> tuple[Tensor, Tensor]:
        """Learn from a batch, in one update or in several.

        Args:
            batch: To learn from, of any number of examples that the processes can share.
            index: Number of the step, from 0.

        Returns:
            Mean loss and gradient norm, scalars on the device that nothing has waited for yet.

        Raises:
            ConfigError: The processes cannot share the batch.
        """
        updates = self.config.updates_per_batch
        for optimizer in self.state.optimizers:
            set_learning_rate(optimizer, learning_rate_factor(index, self.config))
        found = [self._update(batch, index * updates + number) for number in range(updates)]
        self.state.ema.update(index)
        losses, norms = zip(*found, strict=True)
        return torch.stack(losses).mean(), torch.stack(norms).mean()

    def _update(self, batch: Batch, number: int) -> tuple[Tensor, Tensor]:
        """One update, whose times, noise and dropped captions its number decides: loss and gradient norm."""
        config, count = self.config, len(batch.latents)
        parts = _parts(self.processes.share(count), config.micro_batch_size)
        references = self._references(batch, number, parts) if batch.rewards is not None else [None] * len(parts)
        total = torch.zeros((), device=self.device)
        for part, reference in zip(parts, references, strict=True):
            loss = training_loss(
                self.model,
                self.text_encoder,
                batch,
                config,
                null=self.null,
                device=self.device,
                generator=self._generator(number, part),
                part=part,
                reference=reference,
            )
            loss = loss * ((part.stop - part.start) * self.processes.size / count)
            torch.autograd.backward(loss)
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.trained, config.max_grad_norm, foreach=True)
        for optimizer in self.state.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return total, whole(norm)

    @torch.no_grad()
    def _references(self, batch: Batch, number: int, parts: Sequence[slice]) -> list[Latents]:
        """What the averaged networks, which made the batch, answer where the trained ones will be asked."""
        with self.state.ema.applied():
            found = [
                predict(
                    self.model,
                    self.text_encoder,
                    draw(batch, self.config, device=self.device, generator=self._generator(number, part), part=part),
                    self.config,
                    null=self.null,
                )
                for part in parts
            ]
        forget_gathered(self.networks)
        return found

    def _generator(self, number: int, part: slice) -> torch.Generator:
        """The randomness of an update; that of dropout layers, of a text encoder that is trained too, is its part's."""
        generator = step_generator(self.config.seed, number, self.device)
        torch.manual_seed(generator.initial_seed() + part.start)
        return generator

    def save(self, step: int) -> Path:
        """Write a checkpoint of the state after ``step`` updates; its folder."""
        return save_checkpoint(
            self.run_dir,
            step,
            self.state,
            settings=self.config.as_dict(),
            keep=self.config.keep_checkpoints,
            processes=self.processes,
        )

    def is_drawn(self, step: int) -> bool:
        """Whether samples are due after ``step`` updates."""
        return step % self.config.sample_every == 0 or step == self.config.num_steps

    @torch.no_grad()
    def draw(self, step: int) -> None:
        """Let ``sample``, if there is one, work with the averaged weights, in the first process."""
        if self.sample is None:
            return
        with self._averaged():
            if self.processes.is_first:
                folder = self.run_dir / "samples"
                folder.mkdir(exist_ok=True)
                text_encoder = self.given["text_encoder"] if "text_encoder" in self.given else None
                self.sample(step, cast(FlagDiT, self.given["model"]), cast(TextEncoder | None, text_encoder), folder)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within the block the given networks hold the averaged weights, and are in evaluation mode."""
        self.set_mode(training=False)
        if self.networks is self.given:
            with self.state.ema.applied():
                yield
        else:
            fill(self.given.eval(), {**self.state.parameters, **self.state.ema.average})
            yield
            self.processes.wait()
            empty(self.given)
        self.set_mode(training=True)

    def end(self) -> Ema:
        """Leave the given networks with the trained weights, in evaluation mode; the average of these."""
        self.set_mode(training=False)
        if self.networks is self.given:
            return self.state.ema
        fill(self.given.eval(), self.state.parameters)
        ema = Ema(self.given.named_parameters(), self.config.ema_decay)
        ema.average = {name: whole(value) for name, value in self.state.ema.average.items()}
        return ema


def _parts(share: slice, micro_batch_size: int | None) -> list[slice]:
    """What a process computes at a time, of its share of a batch."""
    step = micro_batch_size or share.stop - share.start
    return [slice(start, min(start + step, share.stop)) for start in range(share.start, share.stop, step)]


def _null_condition(model: FlagDiT, text_encoder: TextEncoder | None) -> TokenBatch | int:
    """What a dropped caption or label is replaced by."""
    if text_encoder is not None:
        if model.config.num_classes is not None:
            raise ConfigError("this network takes labels: expected no text encoder")
        return text_encoder.tokenize([text_encoder.config.null_prompt])
    if model.config.num_classes is None:
        raise ConfigError("this network takes captions: expected a text encoder, got none")
    return model.config.num_classes
