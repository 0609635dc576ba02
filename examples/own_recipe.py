"""A recipe of your own: striped pictures and captions, learnt by the shipped model.

lumina train examples.own_recipe:stripes --set training.num_steps=100
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from flagdit_core.training import Batch, TrainingConfig, train
from lumina_image import ImagePipeline

COLORS = {"red": (0.8, -0.7, -0.7), "green": (-0.7, 0.4, -0.6), "blue": (-0.7, -0.4, 0.7)}
DIRECTIONS = ("horizontal", "vertical")


@dataclass(frozen=True, kw_only=True)
class StripesRecipe:
    """What `lumina train --set` can change.

    Attributes:
        output_dir: Receives the checkpoints and the finished ``model`` folder.
        start_from: Model whose weights are trained on.
        period: Pixels from stripe to stripe.
        training: Optimiser, schedule and logging.
    """

    output_dir: Path = Path("runs/stripes")
    start_from: str = "nano"
    period: int = 32
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(num_steps=500, batch_size=8, learning_rate=3e-4, ema_decay=0.99)
    )


class Stripes:
    """Batches of encoded striped pictures; a pure function of (seed, step), so that runs can be resumed exactly."""

    def __init__(self, pipeline: ImagePipeline, period: int) -> None:
        self._codec, self._period = pipeline.components.codec, period

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step: latents (B, C, h, w) and captions."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        pixels, captions = [], []
        for _ in range(batch_size):
            color = list(COLORS)[int(torch.randint(len(COLORS), (), generator=generator))]
            direction = DIRECTIONS[int(torch.randint(2, (), generator=generator))]
            shift = int(torch.randint(self._period, (), generator=generator))
            striped = (torch.arange(128) + shift) % self._period < self._period // 2
            mask = (striped[:, None] if direction == "horizontal" else striped[None]).expand(128, 128)
            pixels.append(torch.where(mask, torch.tensor(COLORS[color])[:, None, None], torch.ones(3, 1, 1)))
            captions.append(f"{direction} {color} stripes")
        return Batch(latents=self._codec.encode(torch.stack(pixels)), captions=captions)


def stripes(config: StripesRecipe, *, resume: bool = False) -> Path:
    """Train the network on stripes and write it as a model folder; the text encoder stays as it is."""
    pipeline = ImagePipeline.from_pretrained(config.start_from)
    parts = pipeline.components
    parts.text_encoder.requires_grad_(False)
    source = Stripes(pipeline, config.period)
    result = train(parts.model, parts.text_encoder, source, config.training, config.output_dir, resume=resume)
    if not result.finished:
        return result.checkpoint
    if result.is_first:  # of the processes that torchrun started
        with result.ema.applied():
            pipeline.save_pretrained(config.output_dir / "model")
    return config.output_dir / "model"
