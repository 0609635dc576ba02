"""The network's blocks, compiled or with recomputed activations, as the settings ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training.config import TrainingConfig


@contextmanager
def prepared(model: FlagDiT, text_encoder: TextEncoder | None, config: TrainingConfig) -> Iterator[None]:
    """Within the block the networks compute as the settings ask; afterwards their modules are as they were.

    The blocks are compiled one by one: they share one graph, so that it takes no longer for 32 than for one, and its
    shapes are dynamic, so that a new one does not compile anew.

    Args:
        model: The network.
        text_encoder: If it is trained on a CPU, it computes its attention explicitly within the block: for captions
            of some twenty tokens under bfloat16 a step of it is then faster than the fused kernel's.
        config: Whether to recompute activations, and whether to compile.
    """
    blocks = list(model.blocks)
    for index, block in enumerate(blocks):
        call = cast(nn.Module, torch.compile(block, dynamic=True)) if config.compile else block
        model.blocks[index] = checkpoint_wrapper(call) if config.activation_checkpointing else call
    with _explicit_attention(text_encoder):
        try:
            yield
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
