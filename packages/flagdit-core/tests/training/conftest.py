"""A tiny network, text encoder and collection, and a run over them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder, build_small_text_encoder
from flagdit_core.training import Example, ExampleSource, TrainingConfig, TrainingResult, train

CAPTIONS = ("a red circle", "a blue square on a white background", "two stars", "a green heart")
SIZES = ((4, 4), (4, 6), (8, 4), (6, 6))


@pytest.fixture
def make_model() -> Callable[[], FlagDiT]:
    """Networks with the same initial weights, gates and last layer opened so that everything matters."""

    def make() -> FlagDiT:
        torch.manual_seed(0)
        model = FlagDiT(
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
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture
def make_text_encoder() -> Callable[[], TextEncoder]:
    """Text encoders with the same initial weights."""

    def make() -> TextEncoder:
        return build_small_text_encoder(
            CAPTIONS, vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, max_tokens=16, seed=0
        )

    return make


@pytest.fixture
def source() -> ExampleSource:
    """Four examples of four shapes."""
    generator = torch.Generator().manual_seed(0)
    return ExampleSource(
        [
            Example(latent=torch.randn(4, *size, generator=generator), caption=caption)
            for size, caption in zip(SIZES, CAPTIONS, strict=True)
        ]
    )


@pytest.fixture
def config() -> TrainingConfig:
    """Six steps with everything in use that can differ between runs."""
    return TrainingConfig(
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


@pytest.fixture
def run(
    make_model: Callable[[], FlagDiT],
    make_text_encoder: Callable[[], TextEncoder],
    source: ExampleSource,
    config: TrainingConfig,
) -> Callable[..., TrainingResult]:
    """``run(folder, config=..., **options of train)`` on fresh networks."""

    def call(folder: Path, config: TrainingConfig = config, **options: object) -> TrainingResult:
        return train(make_model(), make_text_encoder(), source, config, folder, **options)

    return call
