"""Training scalars as CSV always, and for TensorBoard when asked."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from flagdit_core.errors import BackendUnavailableError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = ("step", "loss", "gradient_norm", "learning_rate", "examples_per_second", "seconds")


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

    def close(self) -> None:
        """Close the files."""
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
