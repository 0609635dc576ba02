"""What the training of an autoencoder keeps on disk: its checkpoint and metrics.csv."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flagdit_core.errors import ConfigError
from flagdit_core.output import atomic_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AutoencoderState:
    """Everything that changes while training, by reference.

    Attributes:
        model: The network that is trained.
        ema: The average of its weights.
        optimizers: Between them over all of the model's weights.
    """

    model: nn.Module
    ema: nn.Module
    optimizers: list[torch.optim.Optimizer]


def save_checkpoint(run_dir: Path, state: AutoencoderState, *, step: int, seconds: float, settings: str) -> None:
    """Write all that a run needs to go on; a kill while writing leaves the checkpoint before.

    Args:
        run_dir: The run's folder.
        state: What to write.
        step: Updates made so far.
        seconds: Wall-clock time spent so far.
        settings: What a run must have in common with this one to go on from it.
    """
    unfinished = run_dir / "checkpoint.pt.partial"
    values = {
        "model": state.model.state_dict(),
        "ema": state.ema.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
    }
    torch.save({**values, "step": step, "seconds": seconds, "settings": settings}, unfinished)
    unfinished.replace(run_dir / "checkpoint.pt")


def load_checkpoint(run_dir: Path, state: AutoencoderState, *, settings: str) -> tuple[int, float]:
    """Read the run's checkpoint, where there is one, into the state.

    Args:
        run_dir: The run's folder.
        state: Overwritten.
        settings: As they were given to ``save_checkpoint``.

    Returns:
        Updates made and seconds spent before; zeros without a checkpoint.

    Raises:
        ConfigError: The checkpoint is of a run with other settings.
    """
    path = run_dir / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    values: dict[str, Any] = torch.load(path, weights_only=True)
    if values["settings"] != settings:
        raise ConfigError(
            f"{path} belongs to another recipe: use another run_dir, or the settings {values['settings']}"
        )
    state.model.load_state_dict(values["model"])
    state.ema.load_state_dict(values["ema"])
    for optimizer, saved in zip(state.optimizers, values["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return values["step"], values["seconds"]


class MetricsLog:
    """metrics.csv of a run, one row per call; begun anew, or continued after the rows of earlier updates.

    Args:
        run_dir: The run's folder, which exists.
        columns: Names of what a row may have; "step" is one of them.
        start: Updates made before; rows of later ones, from a run that was killed, are removed.
    """

    def __init__(self, run_dir: Path, columns: Sequence[str], *, start: int) -> None:
        self._path, self._columns = run_dir / "metrics.csv", columns
        rows: list[dict[str, str]] = []
        if self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as file:
                whole = (row for row in csv.DictReader(file) if None not in row.values())  # a kill breaks a row off
                rows = [row for row in whole if int(row["step"]) <= start]
        with atomic_file(self._path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row; a column that is not given stays empty."""
        rounded = {name: value if name == "step" else float(f"{value:.6g}") for name, value in row.items()}
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(rounded)
        logger.info("%s", rounded)
