"""The training loop: every step is a function of the weights and of (seed, step), and of nothing else."""

import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from flagdit_core.errors import ConfigError
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training.checkpoint import latest_checkpoint
from flagdit_core.training.compilation import prepared
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.data import BatchSource, Rollouts, prefetched
from flagdit_core.training.ema import Ema
from flagdit_core.training.interrupt import stop_requests
from flagdit_core.training.logging import Means, ScalarLog
from flagdit_core.training.processes import joined
from flagdit_core.training.run import Run, Sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run left.

    Attributes:
        step: Updates made in all.
        finished: Whether that is all of them; False if a signal or ``stop_after`` ended the run.
        loss: Mean loss of the last row of ``scalars.csv``, or NaN if no step was made.
        model: The network in evaluation mode, holding the trained weights.
        text_encoder: Likewise.
        ema: The averaged weights: ``with result.ema.applied(): model.save_pretrained(...)``.
        checkpoint: The last checkpoint's folder.
        is_first: Whether this process is to write results: the only one, or the first of those that trained together.
    """

    step: int
    finished: bool
    loss: float
    model: FlagDiT
    text_encoder: TextEncoder | None
    ema: Ema
    checkpoint: Path
    is_first: bool = True


def train(
    model: FlagDiT,
    text_encoder: TextEncoder | None,
    source: BatchSource | Rollouts,
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

    Where ``torchrun`` started several processes, each on a device of its own, they spread weights, gradients, averages
    and moments among them by ``fully_shard``, and share each batch. The updates are those of one process, up to
    rounding, and a checkpoint of one number of processes is resumed by any other. They need a folder in common.

    Args:
        model: The network, on the device to train on; changed in place.
        text_encoder: Trained too where its parameters require gradients, otherwise only used; None for a
            label-conditional network.
        source: Of the batches; ``Rollouts`` if the networks make them, in one process and not ahead of time.
        config: All settings.
        output_dir: Receives ``checkpoints/``, ``scalars.csv`` and whatever ``sample`` writes to ``samples/``.
        resume: Go on from the latest checkpoint in ``output_dir``.
        sample: Called every ``sample_every`` steps and at the end as ``sample(step, model, text_encoder, folder)``,
            with the averaged weights in place, without gradients, in evaluation mode, in the first process. A run that
            is resumed after such a step calls it once more: it may have been killed before the samples were there.
        stop_after: Stop once this many updates were made in all, at least 1, as if interrupted.

    Returns:
        The trained networks, their average, and how far the run got.

    Raises:
        ConfigError: ``output_dir`` already holds a run, or settings do not fit, or are not for rollouts.
        CheckpointError: There is nothing to resume, or it belongs to other networks.
        FlagDiTError: The loss is no longer finite; nothing is written then.
    """
    if stop_after is not None and stop_after < 1:
        raise ConfigError(f"stop_after must be at least 1, got {stop_after}")
    with joined(model.device) as processes:
        if isinstance(source, Rollouts) and (config.prefetch_batches or processes.size > 1):
            raise ConfigError(
                "batches that the networks make need prefetch_batches=0 and one process, got "
                f"prefetch_batches={config.prefetch_batches} and {processes.size} processes"
            )
        run = Run(model, text_encoder, config, Path(output_dir), sample, processes)
        start = run.begin(resume=resume)
        run.set_mode(training=True)
        end = config.num_steps if stop_after is None else min(stop_after, config.num_steps)
        step, loss = _steps(run, source, start, end)
        ema = run.end()
    checkpoint = latest_checkpoint(run.run_dir)
    assert checkpoint is not None
    return TrainingResult(
        step=step,
        finished=step == config.num_steps,
        loss=loss,
        model=model,
        text_encoder=text_encoder,
        ema=ema,
        checkpoint=checkpoint,
        is_first=processes.is_first,
    )


def _steps(run: Run, source: BatchSource | Rollouts, start: int, end: int) -> tuple[int, float]:
    """Make updates until ``end`` or until asked to stop; updates made in all, and the last mean loss."""
    config, processes, step, loss = run.config, run.processes, start, math.nan
    with ExitStack() as stack:
        stack.enter_context(prepared(run.model, run.text_encoder, config))
        stop = stack.enter_context(stop_requests())
        stack.enter_context(torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []))
        log = None
        if processes.is_first:
            log = stack.enter_context(ScalarLog(run.run_dir, start=start, tensorboard=config.tensorboard))
        disable = None if processes.is_first else True
        bar = stack.enter_context(tqdm(total=config.num_steps, initial=start, unit="step", disable=disable))
        batches = prefetched(lambda index: run.batch(source, index), start, end, ahead=config.prefetch_batches)
        if start and run.is_drawn(start):  # it may have been killed before these samples were there
            run.draw(start)
        means = Means(config, run.device, processes)
        for index, batch in stack.enter_context(batches):
            means.add(*run.update(batch, index), examples=len(batch.latents))
            step = index + 1
            bar.update()
            ending = processes.any(step == end or stop.is_set())
            saving = ending or step % config.checkpoint_every == 0
            if saving or step % config.log_every == 0:
                scalars = means.take(index)
                loss = scalars["loss"]
                bar.set_postfix(loss=f"{loss:.4f}")
                if log is not None:
                    log.write(step, scalars)
                    logger.info("step %d of %d: loss %.5f", step, config.num_steps, loss)
            if saving:
                run.save(step)
            if run.is_drawn(step):
                run.draw(step)
            if ending:
                break
    return step, loss
