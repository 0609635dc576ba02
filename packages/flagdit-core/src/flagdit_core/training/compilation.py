"""The network as the loop calls it: with recomputed activations or compiled, as the settings ask."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.step import NetworkCall


@contextmanager
def prepared(model: FlagDiT, config: TrainingConfig) -> Iterator[NetworkCall]:
    """The network's call under the settings; the module itself is given back as it was.

    Args:
        model: The network.
        config: Whether to recompute activations, and whether to compile.

    Yields:
        What to call in place of the model. Shapes are dynamic, so that a new one does not compile anew.
    """
    blocks = list(model.blocks)
    if config.activation_checkpointing:
        for index, block in enumerate(blocks):
            model.blocks[index] = checkpoint_wrapper(block)
    try:
        yield torch.compile(model, dynamic=True) if config.compile else model
    finally:
        for index, block in enumerate(blocks):
            model.blocks[index] = block
