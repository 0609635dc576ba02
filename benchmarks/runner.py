"""The one runner: a gate, then pytest-benchmark's clock, then a row of the suite's JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flagdit_kernels.bench.record import Measurement, Refusal


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Times calls that have passed their gate.

    Attributes:
        benchmark: pytest-benchmark's clock.
        rows: Receives the measurement, or why there is none.
        quick: Only see that it runs.
    """

    benchmark: BenchmarkFixture
    rows: list[Measurement | Refusal]
    quick: bool

    def __call__(
        self,
        name: str,
        call: Callable[[], object],
        *,
        gate: Callable[[], None],
        settings: Mapping[str, str | int],
        implementation: str = "flagdit",
        rounds: int = 25,
        warmup_rounds: int = 5,
        work: Mapping[str, int] | None = None,
        extra: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Time a call.

        Args:
            name: What it is.
            call: What is timed.
            gate: Raises unless the call computes the right thing; without it there is no number.
            settings: What distinguishes it from other rows of that name.
            implementation: "flagdit", or the peer's name.
            rounds: Timed calls.
            warmup_rounds: Calls before them.
            work: What one call does, for rates.
            extra: Called after the timing, for readings other than seconds.

        Raises:
            AssertionError: The gate is red.
        """
        gate()
        rounds, warmup_rounds = (1, 0) if self.quick else (rounds, warmup_rounds)
        self.benchmark.group = " ".join([name, *map(str, settings.values())])
        self.benchmark.pedantic(call, rounds=rounds, warmup_rounds=warmup_rounds)
        stats = self.benchmark.stats.stats
        measurement = Measurement(
            name=name,
            implementation=implementation,
            settings=settings,
            rounds=rounds,
            warmup_rounds=warmup_rounds,
            median=stats.median,
            iqr=stats.iqr,
            fastest=stats.min,
            work=work or {},
            extra=extra(),
        )
        self.rows.append(measurement)

    def refuse(self, name: str, *, settings: Mapping[str, str | int], reason: str) -> NoReturn:
        """Leave a row without a number, and skip the test.

        Args:
            name: What would have been timed.
            settings: What distinguishes it from other rows of that name.
            reason: Why it cannot be, in a line.

        Raises:
            pytest.skip.Exception: Always.
        """
        self.rows.append(Refusal(name=name, implementation="flagdit", settings=settings, reason=reason, red=False))
        pytest.skip(reason)
