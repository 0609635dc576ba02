"""One of two processes that train together: run by ``test_processes.py`` under ``torchrun``, with a folder.

It trains until step 4, and the checks within it are of what only the processes see.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import Batch, train

from . import small_run

CONFIG = replace(
    small_run.CONFIG,
    batch_size=4,
    micro_batch_size=1,
    optimizer="muon",
    activation_checkpointing=True,
    sample_every=2,
)


class Rewarded:
    """The usual batches, of which every other one has rewards."""

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """As of any source."""
        usual = small_run.source().batch(step, batch_size=batch_size, seed=seed)
        return replace(usual, rewards=torch.linspace(0, 1, batch_size)) if step % 2 else usual


@torch.no_grad()
def sample(step: int, model: FlagDiT, text_encoder: TextEncoder | None, folder: Path) -> None:
    """Write what the whole averaged networks compute, and who asked."""
    velocity = model([torch.ones(4, 4, 4)], 0.5, *text_encoder.encode(text_encoder.tokenize(["a red circle"])))[0]
    with (folder / f"{step}.txt").open("a") as file:
        file.write(f"{os.environ.get('RANK', '0')} {velocity.sum().item():.4f}\n")


def main() -> None:
    """Train, and look at what each process is left with."""
    model, text_encoder = small_run.model(), small_run.text_encoder()
    result = train(model, text_encoder, Rewarded(), CONFIG, sys.argv[1], stop_after=4, sample=sample)
    assert result.is_first == (os.environ["RANK"] == "0")
    assert result.model is model
    for network in (model, text_encoder):
        assert not any(isinstance(parameter, DTensor) or parameter.numel() == 0 for parameter in network.parameters())
    with result.ema.applied():
        total = sum(parameter.double().sum().item() for parameter in model.parameters())
    (Path(sys.argv[1]) / f"average-{os.environ['RANK']}.txt").write_text(f"{total:.6f}")


if __name__ == "__main__":
    main()
    os._exit(0)  # threads of gloo may outlive the interpreter, which aborts the process after its work is done
