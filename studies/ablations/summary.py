"""What the runs of each variant say together: means over seeds, their spread, and what differs from the baseline."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from studies.ablations.variants import BASELINE, VARIANTS

Run = Mapping[str, Any]
Runs = Mapping[str, Sequence[Run]]
"""The runs of each variant, by its name, in the order of ``VARIANTS``."""

LOSS: Final = "velocity_loss"
CHECKS: Final = ("background", "color", "place", "size", "shape", "all")
"""Kinds of checks, as they are learnt; "all" is a whole caption."""
_STANDARD_ERRORS: Final = 3.0
_LEAST_FREEDOM: Final = 6


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number over seeds.

    Attributes:
        mean: Over seeds.
        spread: Their standard deviation; None of one seed.
        differs: Whether it is further from the baseline than chance would have it.
    """

    mean: float
    spread: float | None
    differs: bool = False


def read_runs(folder: Path) -> dict[str, list[Run]]:
    """The runs in a folder.

    Args:
        folder: Holds the JSON of each.

    Returns:
        Those of each variant, by seed.
    """
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    runs = {name: [run for run in found if run["variant"] == name] for name in VARIANTS}
    return {name: of for name, of in runs.items() if of}


def final(run: Run, measure: str, *, guidance: str = "guidance 4") -> float | None:
    """A measure at the end of a run.

    Args:
        run: The run.
        measure: ``LOSS``, or one of ``CHECKS``.
        guidance: Under which pictures were drawn.

    Returns:
        The loss, or the share that passed in [0, 1]; None where it was not measured.
    """
    return at(run["points"][-1], measure, guidance=guidance)


def at(point: Mapping[str, Any], measure: str, *, guidance: str = "guidance 4") -> float | None:
    """A measure at a point of a run; arguments as :func:`final`."""
    if measure == LOSS:
        return point.get(LOSS)
    if guidance not in point:
        return None
    passed, total = point[guidance][measure]
    return float(passed / total)


def values(runs: Runs, read: Callable[[Run], float | None]) -> dict[str, Value]:
    """A measure of each variant that has it.

    The standard deviation of seeds is pooled over all variants, since three seeds say little about it; what is more
    than three standard errors from the baseline differs. Nothing does where that has less than six degrees of freedom.

    Args:
        runs: Of each variant.
        read: The measure of a run.

    Returns:
        By the variant's name.
    """
    found = {name: [value for run in of if (value := read(run)) is not None] for name, of in runs.items()}
    found = {name: of for name, of in found.items() if of}
    freedom = sum(len(of) - 1 for of in found.values())
    squares = sum((value - fmean(of)) ** 2 for of in found.values() for value in of)
    pooled = math.sqrt(squares / freedom) if freedom >= _LEAST_FREEDOM else math.inf

    def differs(of: Sequence[float]) -> bool:
        base = found.get(BASELINE, of)
        error = pooled * math.sqrt(1 / len(of) + 1 / len(base))
        return abs(fmean(of) - fmean(base)) > _STANDARD_ERRORS * error

    return {
        name: Value(mean=fmean(of), spread=stdev(of) if len(of) > 1 else None, differs=differs(of))
        for name, of in found.items()
    }
