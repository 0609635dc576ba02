"""Training scalars as CSV always, and for TensorBoard when asked."""

import csv
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

import torch
from torch import Tensor

from flagdit_core.errors import BackendUnavailableError, FlagDiTError
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.optimizer import learning_rate_factor
from flagdit_core.training.processes import Processes

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = ("step", "loss", "gradient_norm", "learning_rate", "examples_per_second", "seconds")


class Means:
    """Means between two rows of scalars, summed on the device so that no step waits for them.

    Args:
        config: Of the run.
        device: Where losses are.
        processes: Those whose losses are averaged, each of its share of the batch.
    """

    def __init__(self, config: TrainingConfig, device: torch.device, processes: Processes) -> None:
        self._config, self._processes = config, processes
        self._begun = self._taken = time.perf_counter()
        self._steps = self._examples = 0
        self._sums = torch.zeros(2, device=device)

    def add(self, loss: Tensor, norm: Tensor, examples: int) -> None:
        """Count one step's loss and gradient norm, and its examples."""
        self._steps += 1
        self._examples += examples
        self._sums += torch.stack([loss, norm])

    def take(self, index: int) -> dict[str, float]:
        """The scalars since they were last taken.

        Args:
            index: Number of the last update, from 0.

        Returns:
            A value for every column but ``step``.

        Raises:
            FlagDiTError: The loss or the gradient norm was not finite.
        """
        loss, norm = self._processes.mean(self._sums / self._steps).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FlagDiTError(
                f"by step {index + 1} the loss is {loss} and the gradient norm {norm}, expected finite ones: "
                "lower learning_rate, or resume from the latest checkpoint with another seed"
            )
        now = time.perf_counter()
        scalars = {
            "loss": loss,
            "gradient_norm": norm,
            "learning_rate": self._config.learning_rate * learning_rate_factor(index, self._config),
            "examples_per_second": self._examples / (now - self._taken),
            "seconds": now - self._begun,
        }
        self._steps = self._examples = 0
        self._taken = now
        self._sums.zero_()
        return scalars


class ScalarLog:
    """``scalars.csv`` in the run's folder, one row per call, flushed at once.

    Args:
        run_dir: The run's folder, which exists.
        start: Updates made before this run; rows of later steps, from a run that was killed, are removed.
        tensorboard: Write TensorBoard event files too.

    Raises:
        BackendUnavailableError: TensorBoard was asked for and is not installed.
    """

    def __init__(self, run_dir: Path, *, start: int, tensorboard: bool) -> None:
        self._board = _tensorboard(run_dir, start) if tensorboard else None
        path = run_dir / "scalars.csv"
        trimmed = path.with_suffix(".csv.new")
        with trimmed.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *_rows_until(path, start)])
        trimmed.replace(path)
        self._file: TextIO = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append one row.

        Args:
            step: Updates made so far.
            scalars: A value for every column but ``step``.
        """
        self._writer.writerow([step, *(f"{scalars[column]:.6g}" for column in COLUMNS[1:])])
        self._file.flush()
        if self._board is not None:
            for name, value in scalars.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _rows_until(path: Path, step: int) -> list[list[str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return [row for row in rows if len(row) == len(COLUMNS) and int(row[0]) <= step]


def _tensorboard(run_dir: Path, start: int) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BackendUnavailableError(
            "TensorBoard is not installed: pip install 'flagdit-core[logging]', or set tensorboard=False"
        ) from error
    return SummaryWriter(str(run_dir / "tensorboard"), purge_step=start + 1)
