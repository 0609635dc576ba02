"""The weights that training starts from."""

from typing import TYPE_CHECKING

from torch import nn

from flagdit_core.model.block import Block

if TYPE_CHECKING:
    from flagdit_core.model.flag_dit import FlagDiT


def initialize(model: "FlagDiT") -> None:
    """Initial weights: every block is the identity, the velocity zero, and the gates to the text closed."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in model.blocks:
        assert isinstance(block, Block)
        config = model.config
        kv_size = config.num_kv_heads * config.head_dim
        for part in block.attention.qkv.weight.split([config.hidden_size, kv_size, kv_size]):
            nn.init.xavier_uniform_(part)
        for part in block.feed_forward.gate_up.weight.chunk(2):
            nn.init.xavier_uniform_(part)
        if config.caption_size is not None:
            for part in block.attention.caption_kv.weight.chunk(2):
                nn.init.xavier_uniform_(part)
        nn.init.zeros_(block.modulation.weight)
    nn.init.zeros_(model.final_layer.modulation.weight)
    nn.init.zeros_(model.final_layer.linear.weight)
    for layer in model.timestep_embedder:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
    if model.config.caption_size is not None:
        for layer in model.caption_embedder:
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.weight)
    if model.config.num_classes is not None:
        nn.init.normal_(model.label_embedder.weight, std=0.02)
    if model.config.next_line:
        nn.init.normal_(model.next_line, std=0.02)
    if model.config.next_frame != "never":
        nn.init.normal_(model.next_frame, std=0.02)
