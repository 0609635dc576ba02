"""A tiny network, text encoder and collection, and a run over them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import ExampleSource, TrainingConfig, TrainingResult, train

from . import small_run


@pytest.fixture
def make_model() -> Callable[[], FlagDiT]:
    """Networks with the same initial weights."""
    return small_run.model


@pytest.fixture
def make_text_encoder() -> Callable[[], TextEncoder]:
    """Text encoders with the same initial weights."""
    return small_run.text_encoder


@pytest.fixture
def source() -> ExampleSource:
    """Four examples of four shapes."""
    return small_run.source()


@pytest.fixture
def config() -> TrainingConfig:
    """Six steps with everything in use that can differ between runs."""
    return small_run.CONFIG


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
