"""The shipped model's training: tokens a second, and memory."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks.processes import peak_memory
from benchmarks.runner import Runner
from benchmarks.training import RECIPE, TOKENS, nano_updates
from flagdit_kernels.bench import check_close


@pytest.fixture(autouse=True)
def _threads_of_the_recipe() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(RECIPE.num_threads)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_update(measure: Runner, quick: bool, compiled: bool) -> None:
    """Time an update under bfloat16 autocast, once loss and gradient norm agree with float32's."""
    config = replace(RECIPE.training, batch_size=4 if quick else RECIPE.training.batch_size, compile=compiled)
    alone = [sys.executable, "-m", "benchmarks.training", str(config.batch_size)]
    with nano_updates(config) as update:

        def gate() -> None:
            with nano_updates(replace(config, precision="float32", compile=False)) as exact_update:
                exact = exact_update()
            for what, found, expected in zip(("loss", "gradient norm"), update(), exact, strict=True):
                check_close(found, expected, torch.bfloat16, what)

        measure(
            "nano update",
            update,
            gate=gate,
            settings={
                "batch": config.batch_size,
                "precision": config.precision,
                "threads": RECIPE.num_threads,
                "form": "compiled" if compiled else "eager",
            },
            rounds=20,
            warmup_rounds=2,
            work={"tokens": config.batch_size * TOKENS},
            extra=dict if compiled else lambda: {"peak_memory_bytes": peak_memory(alone)},
        )
