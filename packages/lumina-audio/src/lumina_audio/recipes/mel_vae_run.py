"""What a mel VAE run keeps on disk: its checkpoint and metrics.csv."""

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flagdit_core.errors import ConfigError
from lumina_audio.mel_vae import MelVAE

logger = logging.getLogger(__name__)

COLUMNS = ("step", "seconds", "learning_rate", "loss", "l1", "mse", "difference", "kl", "error", "passed")
"""Of metrics.csv: losses of one batch; of the averaged model on held-out sounds the error (dB) and the pass rate."""


@dataclass(frozen=True, kw_only=True)
class VAEState:
    """Everything that changes while training, by reference.

    Attributes:
        model: The network that is trained.
        ema: The average of its weights.
        optimizer: Over all of the model's weights.
    """

    model: MelVAE
    ema: MelVAE
    optimizer: torch.optim.Optimizer


def save_checkpoint(run_dir: Path, state: VAEState, *, step: int, seconds: float, settings: str) -> None:
    """Write all that a run needs to go on; a kill while writing leaves the checkpoint before.

    Args:
        run_dir: The run's folder.
        state: What to write.
        step: Updates made so far.
        seconds: Wall-clock time spent so far.
        settings: What a run must have in common with this one to go on from it.
    """
    unfinished = run_dir / "checkpoint.pt.partial"
    values = {name: getattr(state, name).state_dict() for name in ("model", "ema", "optimizer")}
    torch.save({**values, "step": step, "seconds": seconds, "settings": settings}, unfinished)
    unfinished.replace(run_dir / "checkpoint.pt")


def load_checkpoint(run_dir: Path, state: VAEState, *, settings: str) -> tuple[int, float]:
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
    state.optimizer.load_state_dict(values["optimizer"])
    return values["step"], values["seconds"]


class MetricsLog:
    """metrics.csv of a run, one row per call; begun anew, or continued after the rows of earlier updates.

    Args:
        run_dir: The run's folder, which exists.
        start: Updates made before; rows of later ones, from a run that was killed, are removed.
    """

    def __init__(self, run_dir: Path, *, start: int) -> None:
        self._path = run_dir / "metrics.csv"
        rows: list[dict[str, str]] = []
        if self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= start]
        with self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row; a column that is not given stays empty."""
        rounded = {name: value if name == "step" else float(f"{value:.6g}") for name, value in row.items()}
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerow(rounded)
        logger.info("%s", rounded)
