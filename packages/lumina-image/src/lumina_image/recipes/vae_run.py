"""What a VAE run keeps on disk: its checkpoint, metrics.csv and grids of reconstructions."""

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import einops
import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from PIL import Image

from flagdit_core.errors import ConfigError

logger = logging.getLogger(__name__)

COLUMNS = ("step", "seconds", "learning_rate", "loss", "l1", "mse", "difference", "kl", "psnr")
"""Of metrics.csv: losses of one batch, and psnr (dB) of the averaged model on held-out pictures."""


@dataclass(frozen=True, kw_only=True)
class VAEState:
    """Everything that changes while training, by reference.

    Attributes:
        model: The network that is trained.
        ema: The average of its weights.
        optimizers: Between them over all of the model's weights.
    """

    model: AutoencoderKL
    ema: AutoencoderKL
    optimizers: list[torch.optim.Optimizer]


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
    values = {
        "model": state.model.state_dict(),
        "ema": state.ema.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
    }
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
    for optimizer, saved in zip(state.optimizers, values["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
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


def save_grid(originals: npt.NDArray[np.uint8], pictures: npt.NDArray[np.uint8], path: Path) -> None:
    """Write up to sixteen originals with their reconstructions below them, both (B, H, W, 3), as one PNG."""
    pairs = np.stack([originals[:16], pictures[:16]], axis=1)
    columns = min(8, len(pairs))
    shown = pairs[: len(pairs) // columns * columns]
    grid = einops.rearrange(shown, "(row column) pair h w c -> (row pair h) (column w) c", column=columns)
    Image.fromarray(grid).save(path)
