"""The training loop: every step is a function of the weights and of (seed, step), and of nothing else."""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn
from tqdm import tqdm

from flagdit_core.errors import CheckpointError, ConfigError, FlagDiTError
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder, TokenBatch
from flagdit_core.training.checkpoint import TrainingState, latest_checkpoint, load_checkpoint, save_checkpoint
from flagdit_core.training.compilation import prepared
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.data import Batch, BatchSource, prefetched, step_generator
from flagdit_core.training.ema import Ema
from flagdit_core.training.logging import ScalarLog
from flagdit_core.training.optimizer import build_optimizer, learning_rate_factor, set_learning_rate
from flagdit_core.training.step import NetworkCall, training_loss

logger = logging.getLogger(__name__)
Sample = Callable[[int, FlagDiT, TextEncoder | None, Path], None]


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run left.

    Attributes:
        step: Updates made in all.
        finished: Whether that is all of them; False if a signal or ``stop_after`` ended the run.
        loss: Mean loss since the last row of ``scalars.csv``, or NaN if no step was made.
        model: The network, holding the trained weights.
        text_encoder: Likewise.
        ema: The averaged weights: ``with result.ema.applied(): model.save_pretrained(...)``.
        checkpoint: The last checkpoint's folder.
    """

    step: int
    finished: bool
    loss: float
    model: FlagDiT
    text_encoder: TextEncoder | None
    ema: Ema
    checkpoint: Path


def train(
    model: FlagDiT,
    text_encoder: TextEncoder | None,
    source: BatchSource,
    config: TrainingConfig,
    output_dir: Path | str,
    *,
    resume: bool = False,
    sample: Sample | None = None,
    stop_after: int | None = None,
) -> TrainingResult:
    """Train by flow matching (Lumina-T2X, arXiv 2405.05945, section 2.1.2) and write checkpoints and scalars.

    Ctrl-C and SIGTERM end the run cleanly: the step is finished and a checkpoint written. A resumed run on a CPU gives
    bit for bit what one uninterrupted run gives.

    Args:
        model: The network, on the device to train on; changed in place.
        text_encoder: Trained too where its parameters require gradients, otherwise only used; None for a
            label-conditional network.
        source: Of the batches.
        config: All settings.
        output_dir: Receives ``checkpoints/``, ``scalars.csv`` and whatever ``sample`` writes to ``samples/``.
        resume: Go on from the latest checkpoint in ``output_dir``.
        sample: Called every ``sample_every`` steps as ``sample(step, model, text_encoder, samples_dir)``, with the
            averaged weights in place, without gradients, in evaluation mode.
        stop_after: Stop once this many updates were made in all, as if interrupted.

    Returns:
        The trained networks, their average, and how far the run got.

    Raises:
        ConfigError: ``output_dir`` already holds a run, or settings do not fit.
        CheckpointError: There is nothing to resume, or it belongs to other networks.
        FlagDiTError: The loss is no longer finite; nothing is written then.
    """
    run_dir = Path(output_dir)
    run = _Run(model, text_encoder, config, run_dir, sample)
    start = _start(run, resume=resume)
    end = config.num_steps if stop_after is None else min(stop_after, config.num_steps)
    step, loss = start, math.nan
    with ExitStack() as stack:
        network = stack.enter_context(prepared(model, config))
        stop = stack.enter_context(_stop_signals())
        stack.enter_context(torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []))
        log = ScalarLog(run_dir, start=start, tensorboard=config.tensorboard)
        stack.callback(log.close)
        bar = stack.enter_context(tqdm(total=config.num_steps, initial=start, unit="step", disable=None))
        batches = stack.enter_context(
            prefetched(
                lambda index: source.batch(index, batch_size=config.batch_size, seed=config.seed),
                start,
                end,
                ahead=config.prefetch_batches,
            )
        )
        window = _Window(run.device)
        for index, batch in batches:
            window.add(*run.update(network, batch, index))
            step = index + 1
            bar.update()
            ending = step == end or stop.is_set()
            saving = ending or step % config.checkpoint_every == 0
            if saving or step % config.log_every == 0:
                scalars = window.close(config, index)
                loss = scalars["loss"]
                log.write(step, scalars)
                bar.set_postfix(loss=f"{loss:.4f}")
                logger.info("step %d of %d: loss %.5f", step, config.num_steps, loss)
            if saving:
                run.save(step)
            if step % config.sample_every == 0 or step == config.num_steps:
                run.draw(step)
            if ending:
                break
    checkpoint = latest_checkpoint(run_dir)
    assert checkpoint is not None
    return TrainingResult(
        step=step,
        finished=step == config.num_steps,
        loss=loss,
        model=model,
        text_encoder=text_encoder,
        ema=run.state.ema,
        checkpoint=checkpoint,
    )


class _Run:
    """The parts of one run that its steps share."""

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
        modules: dict[str, nn.Module] = {"model": model}
        if text_encoder is not None:
            modules["text_encoder"] = text_encoder
        networks = nn.ModuleDict(modules)
        self.state = TrainingState(
            parameters=dict(networks.named_parameters()),
            buffers=dict(networks.named_buffers()),
            optimizer=build_optimizer(networks.named_parameters(), config),
            ema=Ema(networks.named_parameters(), config.ema_decay),
        )
        self.trained = [parameter for parameter in self.state.parameters.values() if parameter.requires_grad]
        self.null = model.config.num_classes if text_encoder is None else _null_tokens(text_encoder)
        self._set_mode(training=True)

    def update(self, network: NetworkCall, batch: Batch, index: int) -> tuple[Tensor, Tensor]:
        """Make update number ``index``; its loss and gradient norm, not yet waited for."""
        config = self.config
        set_learning_rate(self.state.optimizer, learning_rate_factor(index, config))
        generator = step_generator(config.seed, index, self.device)
        torch.manual_seed(generator.initial_seed())  # for dropout layers in a text encoder that is trained too
        loss = training_loss(
            network, self.text_encoder, batch, config, null=self.null, device=self.device, generator=generator
        )
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.trained, config.max_grad_norm, foreach=True)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()
        self.state.ema.update(index)
        return loss.detach(), norm

    def save(self, step: int) -> Path:
        """Write a checkpoint."""
        return save_checkpoint(
            self.run_dir, step, self.state, settings=self.config.as_dict(), keep=self.config.keep_checkpoints
        )

    @torch.no_grad()
    def draw(self, step: int) -> None:
        """Let the caller's function write samples from the averaged weights."""
        if self.sample is None:
            return
        folder = self.run_dir / "samples"
        folder.mkdir(exist_ok=True)
        self._set_mode(training=False)
        with self.state.ema.applied():
            self.sample(step, self.model, self.text_encoder, folder)
        self._set_mode(training=True)

    def _set_mode(self, *, training: bool) -> None:
        self.model.train(training)
        if self.text_encoder is not None:  # a frozen encoder never drops anything out
            self.text_encoder.train(training and any(p.requires_grad for p in self.text_encoder.parameters()))


class _Window:
    """Sums between two rows of scalars, kept on the device so that no step waits for them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._begun = self._last = time.perf_counter()
        self._clear()

    def _clear(self) -> None:
        self._steps = 0
        self._loss, self._norm = torch.zeros((), device=self._device), torch.zeros((), device=self._device)

    def add(self, loss: Tensor, norm: Tensor) -> None:
        self._steps += 1
        self._loss += loss
        self._norm += norm

    def close(self, config: TrainingConfig, index: int) -> dict[str, float]:
        """Means since the last row, which must be finite."""
        loss, norm, now = float(self._loss) / self._steps, float(self._norm) / self._steps, time.perf_counter()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FlagDiTError(
                f"loss {loss} and gradient norm {norm} by step {index + 1}: expected finite ones; lower learning_rate "
                "or resume from the latest checkpoint with another seed"
            )
        scalars = {
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": config.learning_rate * learning_rate_factor(index, config),
            "examples_per_second": self._steps * config.batch_size / (now - self._last),
            "seconds": now - self._begun,
        }
        self._last = now
        self._clear()
        return scalars


def _start(run: _Run, *, resume: bool) -> int:
    """Updates already made: those of the latest checkpoint, which is read into the run."""
    latest = latest_checkpoint(run.run_dir)
    if resume:
        if latest is None:
            raise CheckpointError(f"nothing to resume in {run.run_dir}: start without resume, or name another folder")
        step = load_checkpoint(latest, run.state)
        if step >= run.config.num_steps:
            raise ConfigError(f"{latest} has made {step} of {run.config.num_steps} steps already: raise num_steps")
        return step
    if latest is not None:
        raise ConfigError(f"{run.run_dir} already holds a run ({latest.name}): resume it, or name another folder")
    run.run_dir.mkdir(parents=True, exist_ok=True)
    return 0


@torch.no_grad()
def _null_tokens(text_encoder: TextEncoder) -> TokenBatch:
    return text_encoder.tokenize([text_encoder.config.null_prompt])


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: FrameType | None) -> None:
        logger.warning("stopping after this step")
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
