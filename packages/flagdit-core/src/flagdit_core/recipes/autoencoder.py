"""The training of an autoencoder, whatever its medium."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from flagdit_core.errors import ConfigError
from flagdit_core.recipes.autoencoder_run import AutoencoderState, MetricsLog, load_checkpoint, save_checkpoint

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """What recipes of autoencoders have in common.

    Attributes:
        output_dir: Where the finished codec goes.
        run_dir: Where checkpoint and metrics.csv go; a run found there is continued.
        seed: Of the weights, the media and the posterior's noise.
        steps: Optimizer steps.
        learning_rate: Peak of AdamW's learning rate.
        final_learning_rate: The end of all learning rates, as a fraction of the peak, reached by a cosine.
        warmup_steps: Steps of linear warm-up.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are clipped to this norm.
        ema_decay: Of the averaged weights, which are what is evaluated and written.
        autocast: Compute in bfloat16 where that is safe.
        num_threads: CPU threads.
        log_every: Steps between rows of metrics.csv.
        checkpoint_every: Steps between checkpoints, each with a validation.
    """

    output_dir: Path
    run_dir: Path
    seed: int = 0
    steps: int
    learning_rate: float
    final_learning_rate: float = 0.01
    warmup_steps: int
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    ema_decay: float
    autocast: bool = True
    num_threads: int = 1
    log_every: int = 20
    checkpoint_every: int

    def __post_init__(self) -> None:
        counts = (self.steps, self.log_every, self.checkpoint_every, self.num_threads)
        if min(counts) < 1:
            raise ConfigError(f"expected steps, intervals and num_threads of 1 or more, got {counts}")


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Generic[Network]):
    """What is trained, and how it is judged.

    Attributes:
        build: A fresh network; the same at each call.
        optimizers: Between them over all weights of a network; their learning rates are the peaks.
        losses: (network, step, randomness of the data, randomness of the network) -> "loss" and its parts, scalars.
        validate: (averaged network, updates made) -> what is said of it.
        columns: Names of the losses and of what ``validate`` says, in the order of metrics.csv.
    """

    build: Callable[[], Network]
    optimizers: Callable[[Network], list[torch.optim.Optimizer]]
    losses: Callable[[Network, int, np.random.Generator, torch.Generator], dict[str, Tensor]]
    validate: Callable[[Network, int], dict[str, float]]
    columns: tuple[str, ...]


def train_autoencoder(
    config: AutoencoderRecipe,
    parts: Autoencoder[Network],
    *,
    phases: Sequence[int],
    free: Sequence[str] = (),
) -> Network:
    """Train a network, or go on from ``run_dir``'s checkpoint.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        parts: What is trained.
        phases: Steps of each part of the training. Each begins with the averaged weights and a new warm-up.
        free: Names of settings that do not decide the weights, beside the common ones that do not.

    Returns:
        The averaged network.

    Raises:
        ConfigError: ``run_dir`` holds a run of another recipe.
    """
    torch.set_num_threads(config.num_threads)
    config.run_dir.mkdir(parents=True, exist_ok=True)
    model, ema = parts.build(), parts.build().requires_grad_(False)
    state = AutoencoderState(model=model, ema=ema, optimizers=parts.optimizers(model))
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in state.optimizers]
    settings = _settings(config, free)
    start, seconds = load_checkpoint(config.run_dir, state, settings=settings)
    log = MetricsLog(config.run_dir, ("step", "seconds", "learning_rate", *parts.columns), start=start)
    began, last = time.perf_counter() - seconds, sum(phases)
    for step in range(start, last):
        step_of_phase, steps = _place(step, phases)
        if step_of_phase == 0:
            model.load_state_dict(ema.state_dict())
        fraction = _learning_rate_fraction(config, step_of_phase, steps)
        for optimizer, rates in zip(state.optimizers, peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = peak * fraction
        noise = torch.Generator().manual_seed(config.seed + step)
        row = _update(config, state, parts.losses(model, step, random_stream(config, step), noise), step)
        row["learning_rate"] = config.learning_rate * fraction
        done = step + 1
        judged = done % config.checkpoint_every == 0 or done == last
        if judged:
            row |= parts.validate(ema, done)
            spent = time.perf_counter() - began
            save_checkpoint(config.run_dir, state, step=done, seconds=spent, settings=settings)
        if judged or done % config.log_every == 0:
            log.write(row | {"step": done, "seconds": time.perf_counter() - began})
    return ema


def random_stream(config: AutoencoderRecipe, stream: int) -> np.random.Generator:
    """Randomness for one step (0 and up) or one fixed set of media (below 0): a pure function of seed and stream."""
    return np.random.default_rng((config.seed, abs(stream), int(stream < 0)))


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of a posterior from a standard normal, per latent value; float32."""
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def _settings(config: AutoencoderRecipe, free: Sequence[str]) -> str:
    """What decides the weights, for comparison."""
    watched = ("output_dir", "run_dir", "num_threads", "log_every", "checkpoint_every", *free)
    return repr({name: value for name, value in asdict(config).items() if name not in watched})


def _place(step: int, phases: Sequence[int]) -> tuple[int, int]:
    """The number of a step within its phase, and the steps of that phase."""
    for steps in phases:
        if step < steps:
            return step, steps
        step -= steps
    raise AssertionError("a step after the last phase")


def _learning_rate_fraction(config: AutoencoderRecipe, step: int, steps: int) -> float:
    """Of the peak: linear warm-up, then a cosine down to the final fraction."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return warmup * (config.final_learning_rate + (1 - config.final_learning_rate) * cosine)


def _update(
    config: AutoencoderRecipe, state: AutoencoderState, losses: dict[str, Tensor], step: int
) -> dict[str, float]:
    """One update of network and average; the losses as numbers."""
    state.model.zero_grad()
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.max_grad_norm)
    for optimizer in state.optimizers:
        optimizer.step()
    decay = min(config.ema_decay, (step + 1) / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(state.ema.parameters()), list(state.model.parameters()), 1 - decay)
    return {name: value.item() for name, value in losses.items()}
