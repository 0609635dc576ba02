"""A tiny network, text encoder and collection, the same at every call, and settings of a run over them."""

import torch

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder, build_small_text_encoder
from flagdit_core.training import Example, ExampleSource, TrainingConfig

CAPTIONS = ("a red circle", "a blue square on a white background", "two stars", "a green heart")
SIZES = ((4, 4), (4, 6), (8, 4), (6, 6))
CONFIG = TrainingConfig(
    num_steps=6,
    batch_size=3,
    learning_rate=1e-2,
    weight_decay=0.01,
    warmup_steps=2,
    decay="cosine",
    ema_decay=0.9,
    caption_dropout=0.3,
    log_every=2,
    checkpoint_every=2,
)
"""Six steps with everything in use that can differ between runs."""


def model() -> FlagDiT:
    """A network whose gates and last layer are open, so that everything matters."""
    torch.manual_seed(0)
    network = FlagDiT(
        FlagDiTConfig(
            hidden_size=16,
            depth=2,
            num_heads=2,
            num_kv_heads=2,
            ffn_hidden_size=32,
            conditioning_size=16,
            caption_size=16,
        )
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def text_encoder() -> TextEncoder:
    """A text encoder that is to be trained too."""
    return build_small_text_encoder(
        CAPTIONS, vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, max_tokens=16, seed=0
    )


def source() -> ExampleSource:
    """Four examples of four shapes."""
    generator = torch.Generator().manual_seed(0)
    return ExampleSource(
        [
            Example(latent=torch.randn(4, *size, generator=generator), caption=caption)
            for size, caption in zip(SIZES, CAPTIONS, strict=True)
        ]
    )
