"""One run: a variant trained with a seed, measured on the way, and kept as a small JSON."""

import csv
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from flagdit_core import FlagDiT
from flagdit_core.evaluation import write_json
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import BatchSource, TrainingConfig, train
from flagdit_kernels.bench.record import describe_origin
from studies.ablations.measure import held_out_loss, pass_rates
from studies.ablations.pictures import held_out_pictures, text_encoder
from studies.ablations.variants import CAPTION_SIZE, LATENT_SHAPE, VARIANTS


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What every run gets, whatever its variant.

    Attributes:
        num_steps: Updates of the baseline.
        pictures: Different ones to learn from.
        prompts: Held-out captions of an evaluation.
        held_out: Held-out pictures of the velocity loss.
        losses: How often the velocity loss is measured, evenly, the last time at the end.
        evaluations: How often pictures are drawn and judged, likewise; a divisor of ``losses``.
        sampling_steps: Evaluations of the network for a picture.
        guidance_scale: Of the pictures; at the end there are some without guidance too.
    """

    num_steps: int = 400
    pictures: int = 12_000
    prompts: int = 150
    held_out: int = 128
    losses: int = 16
    evaluations: int = 4
    sampling_steps: int = 12
    guidance_scale: float = 4.0


class Measured:
    """What ``flagdit_core.training.train`` calls now and then: measures, and keeps the processor time that took.

    Args:
        config: Of the training.
        scale: How much is measured.
    """

    def __init__(self, config: TrainingConfig, scale: Scale) -> None:
        self.config, self.scale = config, scale
        self.points: list[dict[str, Any]] = []
        self.seconds = 0.0

    def __call__(self, step: int, model: FlagDiT, encoder: TextEncoder | None, folder: Path) -> None:
        """Measure the averaged weights after so many updates."""
        assert encoder is not None
        start, config, scale = time.process_time(), self.config, self.scale
        ending = step == config.num_steps
        point: dict[str, Any] = {"step": step}
        if (config.path, config.prediction) == ("linear", "velocity"):
            point["velocity_loss"] = held_out_loss(model, encoder, held_out_pictures(scale.held_out))
        if ending or step % (config.sample_every * scale.losses // scale.evaluations) == 0:
            for guidance_scale in (scale.guidance_scale, 1.0) if ending else (scale.guidance_scale,):
                point[f"guidance {guidance_scale:g}"] = self._counts(model, encoder, guidance_scale)
        self.points.append(point)
        self.seconds += time.process_time() - start

    def _counts(self, model: FlagDiT, encoder: TextEncoder, guidance_scale: float) -> dict[str, list[int]]:
        """[passed, total] of each kind of check, and of whole captions."""
        found = pass_rates(
            model,
            encoder,
            self.config,
            shape=(LATENT_SHAPE[0], *LATENT_SHAPE[2:]),
            count=self.scale.prompts,
            num_steps=self.scale.sampling_steps,
            guidance_scale=guidance_scale,
        )
        rates = {**found.by_check, "all": found.overall}
        return {name: [rate.passed, rate.total] for name, rate in rates.items()}


def run(name: str, seed: int, source: BatchSource, scale: Scale, folder: Path) -> Path | None:
    """Train a variant and keep what was measured.

    Args:
        name: Of the variant.
        seed: Of weights, batches, times and noise; the held-out captions are always the same.
        source: Of the batches.
        scale: How much.
        folder: Receives ``<name>-<seed>.json``.

    Returns:
        The file; None if the run was interrupted, which leaves nothing.
    """
    torch.set_num_threads(1)
    variant = VARIANTS[name]
    config = variant.training_config(num_steps=scale.num_steps, seed=seed)
    every = -(-config.num_steps // scale.losses)
    config = replace(config, sample_every=every, checkpoint_every=config.num_steps, log_every=20)
    model, encoder = variant.model(seed=seed), text_encoder(width=CAPTION_SIZE, seed=seed)
    measured = Measured(config, scale)
    with TemporaryDirectory() as scratch:
        start = time.process_time()
        result = train(model, encoder, source, config, scratch, sample=measured)
        if not result.finished:
            return None
        seconds = time.process_time() - start - measured.seconds
        with (Path(scratch) / "scalars.csv").open(newline="") as file:
            curve = [[int(row["step"]), float(row["loss"])] for row in csv.DictReader(file)]
    path, network = folder / f"{name}-{seed}.json", model.config.to_dict()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        {
            "variant": name,
            "seed": seed,
            "scale": asdict(scale),
            "network": {key: "infinity" if value == math.inf else value for key, value in network.items()},
            "training": config.as_dict(),
            "parameters": {"network": _count(model), "text_encoder": _count(encoder)},
            "examples": config.num_steps * config.batch_size,
            "processor_seconds_per_update": seconds / config.num_steps,
            **describe_origin(torch.device("cpu")),
            "loss": curve,
            "points": measured.points,
        },
        path,
    )
    return path


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
