"""Updates of the shipped model's recipe on a fixed batch of 128x128 pictures; as a program, to see its memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flagdit_core import FlagDiT
from flagdit_core.layout import Layout
from flagdit_core.recipes.networks import build_text_encoder
from flagdit_core.training import Batch, TrainingConfig
from flagdit_core.training.compilation import prepared
from flagdit_core.training.run import Run
from lumina_image.recipes.nano import NANO, caption

RECIPE = replace(NANO, text_encoder=replace(NANO.text_encoder, captions=1000))
LATENT_SHAPE = (RECIPE.model.in_channels, 1, 16, 16)
TOKENS = Layout.of(RECIPE.model).sequence_length(LATENT_SHAPE)
"""Of one picture."""

Update = Callable[[], tuple[Tensor, Tensor]]
"""Makes the next update; its loss and gradient norm."""


@contextmanager
def nano_updates(config: TrainingConfig) -> Iterator[Update]:
    """The updates of a run on random latents and captions of the world.

    Args:
        config: Settings; ``batch_size`` is used.

    Yields:
        What makes the next update.
    """
    torch.manual_seed(0)
    model, text_encoder = FlagDiT(RECIPE.model), build_text_encoder(RECIPE, caption)
    with torch.no_grad():
        for parameter in model.parameters():  # opens the gates that start at zero: what is compared depends on all
            parameter.add_(0.02 * torch.randn_like(parameter))
    run = Run(model, text_encoder, config, Path(), None)
    run.set_mode(training=True)
    generator = np.random.default_rng(0)
    batch = Batch(
        latents=torch.randn(config.batch_size, *LATENT_SHAPE),
        captions=[caption(generator) for _ in range(config.batch_size)],
    )
    steps = count()
    with prepared(model, text_encoder, config):
        yield lambda: run.update(batch, next(steps))


def main(batch_size: int) -> None:
    """Make three updates as the recipe does."""
    torch.set_num_threads(RECIPE.num_threads)
    with nano_updates(replace(RECIPE.training, batch_size=batch_size)) as update:
        for _ in range(3):
            update()


if __name__ == "__main__":
    main(int(sys.argv[1]))
