"""The networks as the loop calls them: with recomputed activations or compiled, as the settings ask."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.step import NetworkCall


@contextmanager
def prepared(model: FlagDiT, text_encoder: TextEncoder | None, config: TrainingConfig) -> Iterator[NetworkCall]:
    """The network's call under the settings; the modules are given back as they were.

    Args:
        model: The network.
        text_encoder: If it is trained on a CPU, it computes its attention explicitly within the block: for captions
            of some twenty tokens under bfloat16 a step of it then takes half the time of the fused kernel's.
        config: Whether to recompute activations, and whether to compile.

    Yields:
        What to call in place of the model. Shapes are dynamic, so that a new one does not compile anew.
    """
    blocks = list(model.blocks)
    if config.activation_checkpointing:
        for index, block in enumerate(blocks):
            model.blocks[index] = checkpoint_wrapper(block)
    with _explicit_attention(text_encoder):
        try:
            yield torch.compile(model, dynamic=True) if config.compile else model
        finally:
            for index, block in enumerate(blocks):
                model.blocks[index] = block


@contextmanager
def _explicit_attention(text_encoder: TextEncoder | None) -> Iterator[None]:
    if text_encoder is None or text_encoder.device.type != "cpu" or not text_encoder.is_trained:
        yield
        return
    before = text_encoder.model.config._attn_implementation
    text_encoder.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        text_encoder.model.set_attn_implementation(before)
