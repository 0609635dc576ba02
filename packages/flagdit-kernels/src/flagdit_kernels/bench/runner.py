"""The one runner: a case after the other, and for each implementation gate, clock, memory, and a row of the JSON."""

import gc
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from flagdit_kernels.bench.case import Case, Conditions, Trial, UnavailableError
from flagdit_kernels.bench.clock import ONCE, QUICK, Plan, synchronize, time_call
from flagdit_kernels.bench.gate import RedGateError
from flagdit_kernels.bench.launches import launches_of
from flagdit_kernels.bench.record import CUT_OFF, Measurement, Refusal, write_suite

logger = logging.getLogger(__name__)
Row = Measurement | Refusal


class DeviceLostError(RuntimeError):
    """The device answers nothing any more."""


@dataclass(kw_only=True)
class Runner:
    """Runs the cases of a suite.

    Attributes:
        suite: Its name.
        conditions: Device and sizes.
        folder: Receives the JSON, before and after every row; None for none.
        out_of_time: Whether to begin no further row.
        profile: Record the compiled kernels of ours too.
        origin: What `describe_origin` said before the run, as a lost device says nothing; None to ask when writing.
        tell: Called with one line for each row.
        measurements: Rows so far; what is among them is done.
        refusals: Rows without a number so far, which are done too but for those that were `CUT_OFF`.
        cut_off: Cases with the implementations that an earlier run was cut off in, for `run_cut_off`.
        load_average: Of the machine before the run.
        missed: Rows that time ran out for.
        path: The JSON, once it is written.
    """

    suite: str
    conditions: Conditions
    folder: Path | None
    out_of_time: Callable[[], bool]
    profile: bool = False
    origin: Mapping[str, Any] | None = None
    tell: Callable[[str], None] = logger.info
    measurements: list[Measurement] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    cut_off: list[Case] = field(default_factory=list)
    load_average: float = field(default_factory=lambda: os.getloadavg()[0])
    missed: int = 0
    path: Path | None = None

    def run(self, cases: Iterable[Case]) -> None:
        """Run what is not yet done, and within the time; what an earlier run was cut off in waits for `run_cut_off`.

        Args:
            cases: Of the suite.

        Raises:
            DeviceLostError: A kernel broke the device's context; what was measured before is written.
        """
        begun = {_key(row, row.implementation) for row in self.refusals if row.reason == CUT_OFF}
        rows: list[Row] = [*self.measurements, *self.refusals]
        done = {_key(row, row.implementation) for row in rows}
        for case in cases:
            cut_off = tuple(name for name in case.implementations if _key(case, name) in begun)
            if cut_off:
                self.cut_off.append(replace(case, implementations=cut_off))
            self._run_case(case, [name for name in case.implementations if _key(case, name) not in done])

    def run_cut_off(self) -> None:
        """Run what an earlier run was cut off in, the latest last, so that what crashes is in nothing else's way.

        Raises:
            DeviceLostError: As in `run`.
        """
        cases = {_key(case, name): (case, name) for case in self.cut_off for name in case.implementations}
        for row in [row for row in self.refusals if _key(row, row.implementation) in cases]:
            case, name = cases[_key(row, row.implementation)]
            torch.compiler.reset()  # graphs of other sizes would count against the limit of recompilations
            self._run_case(case, [name])

    @property
    def red(self) -> bool:
        """Whether something is wrong, and not just unavailable."""
        return any(refusal.red for refusal in self.refusals)

    def _write(self) -> None:
        if self.folder is not None:
            self.path = write_suite(
                self.folder,
                self.suite,
                self.measurements,
                load_average=self.load_average,
                refusals=self.refusals,
                device=self.conditions.device,
                quick=self.conditions.quick,
                origin=self.origin,
            )

    def _run_case(self, case: Case, names: Sequence[str]) -> None:
        """Implementations of a case on the same inputs, which are gone afterwards."""
        if not names:
            return
        make: Callable[[str], Trial] | None = None
        for index, name in enumerate(names):
            if self.out_of_time():
                self.missed += len(names) - index
                break
            self._keep(Refusal(name=case.name, implementation=name, settings=case.settings, reason=CUT_OFF, red=False))
            begin = time.perf_counter()
            try:
                make = make or case.prepare()
                row: Row = self._measure(case, name, make(name))
            except Exception as error:  # whatever a peer raises is the reason why it has no number
                row = _refusal(case, name, error)
            self.tell(f"{_line(case, name, row)}  [{time.perf_counter() - begin:.1f} s]")
            self._keep(row)
            if isinstance(row, Refusal):
                self._recover()
        if make is not None:
            del make
            self._recover()

    def _keep(self, row: Row) -> None:
        """Add a row, in place of the one that says that it was begun, and write the JSON."""
        key = _key(row, row.implementation)
        self.refusals = [other for other in self.refusals if _key(other, other.implementation) != key]
        if isinstance(row, Measurement):
            self.measurements.append(row)
        else:
            self.refusals.append(row)
        self._write()

    def _measure(self, case: Case, name: str, trial: Trial) -> Measurement:
        """The row of a trial that passes its gate."""
        device = self.conditions.device
        trial.gate()
        plan = QUICK if self.conditions.quick else ONCE if case.once else Plan()
        timing = time_call(trial.call, device, plan)
        launches = _launches(trial) if self.profile and name == "flagdit" else []
        numbers = asdict(timing)
        extra = {"host_seconds": numbers.pop("host"), "peak_memory_bytes": numbers.pop("peak_memory")}
        return Measurement(
            name=case.name,
            implementation=name,
            settings=case.settings,
            work=case.work,
            extra={reading: value for reading, value in extra.items() if value is not None},
            backend=trial.backend,
            launches=launches,
            **numbers,
        )

    def _recover(self) -> None:
        """Free what a failure or a case leaves; a broken context comes up here, before every later row looks broken."""
        if self.conditions.device.type == "cuda":
            gc.collect()
            try:
                synchronize(self.conditions.device)
                torch.cuda.empty_cache()
            except RuntimeError as error:
                raise DeviceLostError(f"the device is lost: {_first_line(error)}") from error


def _launches(trial: Trial) -> list[dict[str, Any]]:
    """The kernels that one call launches; none where Triton keeps them in another way than is known here."""
    try:
        return launches_of(trial.call)
    except Exception as error:  # the number is right without them
        logger.warning("without launches: %s: %s", type(error).__name__, _first_line(error))
        return []


def _key(row: Case | Row, implementation: str) -> tuple[object, ...]:
    """What a row is of."""
    return row.name, implementation, *row.settings.items()


def _refusal(case: Case, name: str, error: Exception) -> Refusal:
    """The row of an implementation that has no number."""
    unavailable = isinstance(error, UnavailableError | torch.OutOfMemoryError)
    ours_failed = name == "flagdit" and not unavailable
    reason = _first_line(error) if isinstance(error, UnavailableError | RedGateError) else (
        f"{type(error).__name__}: {_first_line(error)}"
    )  # fmt: skip
    if ours_failed and not isinstance(error, RedGateError):
        logger.error("%s: %s", case.title, reason, exc_info=error)
    red = isinstance(error, RedGateError) or ours_failed
    return Refusal(name=case.name, implementation=name, settings=case.settings, reason=reason, red=red)


def _line(case: Case, name: str, row: Row) -> str:
    """A row for people."""
    head = f"{case.title}, {name}:"
    if isinstance(row, Refusal):
        return f"{head} {'RED' if row.red else 'not here'}: {row.reason}"
    rates = {"flops": ("TFLOP/s", 1e12), "bytes": ("GB/s", 1e9), "tokens": ("tokens/s", 1.0)}
    rate = "".join(f", {value / row.median / rates[k][1]:.1f} {rates[k][0]}" for k, value in row.work.items())
    spread = 50 * row.iqr / row.median
    return f"{head} {1e3 * row.median:.3f} ms ± {spread:.0f} % of {row.rounds}{rate}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
