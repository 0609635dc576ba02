"""A share and a mean, each with its 95 % interval."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

_Z_95 = 1.959963984540054  # the standard normal's 97.5 % quantile


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many of how many passed.

    Attributes:
        passed: Number that passed.
        total: Number that were checked, at least 1.

    Example:
        >>> low, high = Rate(passed=9, total=10).interval
        >>> round(low, 3), round(high, 3)
        (0.596, 0.982)
    """

    passed: int
    total: int

    @classmethod
    def of(cls, outcomes: Sequence[bool]) -> Self:
        """The rate of single outcomes, at least one."""
        return cls(passed=sum(outcomes), total=len(outcomes))

    @property
    def value(self) -> float:
        """The share that passed, in [0, 1]."""
        return self.passed / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
        n, p, z2 = self.total, self.value, _Z_95**2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def as_dict(self) -> dict[str, Any]:
        """Count, share and interval, JSON-ready."""
        return {**asdict(self), "rate": self.value, "interval_95": list(self.interval)}


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of a measure.

    Attributes:
        value: The mean.
        deviation: Standard deviation of single values; 0 of a single one.
        total: Number of values, at least 1.
    """

    value: float
    deviation: float
    total: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The mean of single values, at least one."""
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(value=statistics.fmean(values), deviation=deviation, total=len(values))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean by the normal approximation."""
        half = _Z_95 * self.deviation / math.sqrt(self.total)
        return self.value - half, self.value + half

    def as_dict(self) -> dict[str, Any]:
        """Mean, spread, number and interval, JSON-ready."""
        return {**asdict(self), "interval_95": list(self.interval)}
