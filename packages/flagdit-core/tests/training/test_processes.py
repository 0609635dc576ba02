"""Several processes compute what one does."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flagdit_core.errors import ConfigError
from flagdit_core.training import Batch, train
from flagdit_core.training.processes import Processes

from . import small_run
from .two_processes import CONFIG, Rewarded, sample

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
NO_GRADIENT = "k_norm.bias"  # a constant added to all keys changes nothing: what moves it is rounding


def _assert_close(one: Path, other: Path) -> None:
    """Two checkpoints hold the same tensors, up to rounding."""
    for file in ("weights", "ema", "optimizer"):
        tensors, others = (load_file(folder / f"{file}.safetensors") for folder in (one, other))
        assert tensors.keys() == others.keys()
        for name, tensor in tensors.items():
            if NO_GRADIENT not in name:
                torch.testing.assert_close(tensor, others[name], rtol=2e-3, atol=2e-5, msg=f"{file}: {name}")


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    """Spread over two, then resumed by one: weights, average, moments, samples and scalars are those of one process.

    That is with unequal latents, a trained text encoder, two optimizers, batches of data and of rewards, and
    examples computed one by one and twice.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    command = [*TORCHRUN, "-m", "tests.training.two_processes", str(two)]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    averages = [(two / f"average-{rank}.txt").read_text() for rank in range(2)]
    assert averages[0] == averages[1]

    plain = dataclasses.replace(CONFIG, micro_batch_size=None, activation_checkpointing=False)

    def alone(folder: Path, **options: object):
        return train(small_run.model(), small_run.text_encoder(), Rewarded(), plain, folder, **options)

    alone(one, stop_after=4, sample=sample)
    _assert_close(one / "checkpoints/step-00000004", two / "checkpoints/step-00000004")
    whole, resumed = alone(one, resume=True, sample=sample), alone(two, resume=True, sample=sample)
    _assert_close(whole.checkpoint, resumed.checkpoint)
    for step in (2, 4, 6):
        drawn, others = ((run / f"samples/{step}.txt").read_text().splitlines() for run in (one, two))
        assert len(drawn) == len(others) == (2 if step == 4 else 1)  # by one process; once more where it is resumed
        for expected, found in zip(drawn, others, strict=True):
            assert expected.split()[0] == found.split()[0] == "0"
            assert float(found.split()[1]) == pytest.approx(float(expected.split()[1]), rel=1e-3)
    losses, losses_of_two = (np.loadtxt(run / "scalars.csv", delimiter=",", skiprows=1)[:, :3] for run in (one, two))
    np.testing.assert_allclose(losses, losses_of_two, rtol=1e-3)


def test_micro_batches_change_nothing(run, config, tmp_path: Path) -> None:
    """Examples computed two and then one at a time give the update of all three at once, up to rounding."""
    whole = run(tmp_path / "whole")
    parts = run(tmp_path / "parts", config=dataclasses.replace(config, micro_batch_size=2))
    _assert_close(whole.checkpoint, parts.checkpoint)


@pytest.mark.parametrize("more", [-1, 1])
def test_a_source_chooses_how_many(run, config, tmp_path: Path, more: int) -> None:
    """A batch of another number of examples than asked for is learnt from whole, and as a batch of that number is."""

    class Chooses:
        def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
            return small_run.source().batch(step, batch_size=batch_size + more, seed=seed)

    asked = run(tmp_path / "asked", config=dataclasses.replace(config, batch_size=config.batch_size + more))
    config = dataclasses.replace(config, micro_batch_size=2)
    chosen = train(small_run.model(), small_run.text_encoder(), Chooses(), config, tmp_path / "chosen")
    _assert_close(asked.checkpoint, chosen.checkpoint)


def test_batches_are_shared_equally() -> None:
    """Every example is of one process; a batch that cannot be shared is an error that says so."""
    shares = [Processes(rank=rank, size=3).share(6) for rank in range(3)]
    assert [list(range(6))[share] for share in shares] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ConfigError, match="4 processes can share equally, got 6"):
        Processes(rank=0, size=4).share(6)
