"""The command ``flagdit-bench``."""

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from flagdit_kernels.bench.case import Case, Conditions, Suite
from flagdit_kernels.bench.ceilings import ceilings
from flagdit_kernels.bench.explanation import explanation
from flagdit_kernels.bench.record import Measurement, Refusal, describe_origin, read_suite, suite_file
from flagdit_kernels.bench.runner import DeviceLostError, Runner
from flagdit_kernels.bench.suites import find_suite, installed_suites

logger = logging.getLogger(__name__)
_DTYPE = torch.bfloat16


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A suite to run, and the rows of it that there are already."""

    name: str
    suite: Suite
    measurements: list[Measurement]
    refusals: list[Refusal]


def main(words: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        words: Its arguments; those of the process by default.

    Returns:
        0; 1 if a gate was red or something of ours failed; 2 if it was asked for what cannot be.
    """
    begin = time.monotonic()
    words = sys.argv[1:] if words is None else words
    options = _parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    device: torch.device = options.device
    if options.explain:
        print(explanation(device))
        return 0
    if obstacle := _obstacle(device, quick=options.quick):
        print(f"flagdit-bench: {obstacle}", file=sys.stderr)
        return 2
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # a peer may launch there, wherever its tensors are
    if options.tune:
        from flagdit_kernels.configs import CANDIDATES
        from flagdit_kernels.tune import tune

        kernels = [kernel for kernel in CANDIDATES if re.search(options.only or "", kernel)]
        if not kernels or device.type != "cuda":
            print(f"flagdit-bench: --tune needs a GPU and one of {', '.join(CANDIDATES)}", file=sys.stderr)
            return 2
        logging.getLogger(tune.__module__).setLevel(logging.INFO)
        print(tune(kernels, device=device, budget=options.budget - (time.monotonic() - begin)))
        return 0
    origin = describe_origin(device, options.commit)
    try:
        parts = _parts(options, origin)
    except ValueError as error:
        print(f"flagdit-bench: {error}", file=sys.stderr)
        return 2
    return _run(parts, words, options, origin, begin)


def _run(
    parts: Sequence[_Part], words: Sequence[str], options: argparse.Namespace, origin: dict[str, Any], begin: float
) -> int:
    """Run the suites one after the other, and at last what an earlier run was cut off in."""
    conditions = Conditions(device=options.device, quick=options.quick)
    runners = [_runner(part, conditions, options, origin, begin) for part in parts]
    found = failed = False
    try:
        for part, runner in zip(parts, runners, strict=True):
            print(f"suite {part.name}", flush=True)
            try:
                cases = _wanted(part.suite(conditions), options)
                for case in islice(cases, 1):
                    found = True
                    runner.run(chain(ceilings(conditions, _DTYPE), [case], cases))
            except DeviceLostError:
                raise
            except Exception as error:  # the suite's own: the others run all the same
                failed = True
                logger.error("suite %s: %s: %s", part.name, type(error).__name__, error, exc_info=error)
        for runner in runners:
            runner.run_cut_off()
    except DeviceLostError as error:
        print(f"flagdit-bench: {error}; with --results it goes on behind the case that broke it", file=sys.stderr)
        if written := [runner.path for runner in runners if runner.path]:
            _go_on(words, written, options.budget - (time.monotonic() - begin))
        return 1
    if not found and not failed:
        print("flagdit-bench: no case has such a name and settings; a row's line begins with them", file=sys.stderr)
        return 2
    if missed := sum(runner.missed for runner in runners):
        print(f"{missed} rows were not begun within {options.budget:.0f} s: go on with --resume")
    if red := any(runner.red for runner in runners):
        print(
            "flagdit-bench: rows marked RED have no number: they compute the wrong thing, or ours failed",
            file=sys.stderr,
        )
    return 1 if red or failed else 0


def _runner(
    part: _Part, conditions: Conditions, options: argparse.Namespace, origin: dict[str, Any], begin: float
) -> Runner:
    return Runner(
        suite=part.name,
        conditions=conditions,
        folder=options.results,
        out_of_time=lambda: time.monotonic() - begin > options.budget,
        profile=options.profile is not None,
        origin=origin,
        tell=lambda line: print(line, flush=True),
        measurements=part.measurements,
        refusals=part.refusals,
    )


def _go_on(words: Sequence[str], written: Sequence[Path], budget: float) -> None:
    """Become a new process, to which the device answers again, with the rows so far."""
    resumed = [f"--resume={path}" for path in written]
    sys.stderr.flush()
    command = [sys.executable, "-m", "flagdit_kernels.bench", *words, f"--budget={budget}", *resumed]
    os.execv(sys.executable, command)  # noqa: S606 - our own words


def _wanted(cases: Iterable[Case], options: argparse.Namespace) -> Iterator[Case]:
    """The rows asked for: whole cases by their titles, or some of their implementations."""
    expressions = [expression for expression in (options.only, options.profile) if expression is not None]
    for case in cases:
        names = [
            name
            for name in case.implementations
            if all(re.search(each, case.title) or re.search(each, f"{case.title}, {name}") for each in expressions)
        ]
        if names:
            yield replace(case, implementations=tuple(names))


def _parts(options: argparse.Namespace, origin: dict[str, Any]) -> list[_Part]:
    """The suites asked for, each with its earlier rows."""
    found = [find_suite(name) for name in options.suite or installed_suites()]
    if not found:
        raise ValueError("no suite is installed: give --suite module:function")
    if len(dict(found)) < len(found):
        raise ValueError("two suites of one name would write one JSON: run them one after the other")
    resumed = list(_resumed(options, [name for name, _ in found], origin))
    read = [read_suite(path, origin) for path in resumed]
    earlier = {name: (measurements, refusals) for name, measurements, refusals in read}
    if strangers := earlier.keys() - {name for name, _ in found}:
        raise ValueError(f"--resume was given the JSON of {', '.join(sorted(strangers))}, which is not to be run")
    parts = []
    for name, suite in found:
        if options.results is not None:
            path = suite_file(options.results, name, origin, quick=options.quick)
            if path.exists() and not any(map(path.samefile, resumed)):
                raise ValueError(f"{path} is there already: --resume {path} goes on with it; or give another folder")
        measurements, refusals = earlier.get(name, ([], []))
        parts.append(_Part(name=name, suite=suite, measurements=measurements, refusals=refusals))
    return parts


def _resumed(options: argparse.Namespace, suites: Sequence[str], origin: dict[str, Any]) -> Iterator[Path]:
    """The JSON of earlier runs: the files that were given, and of each suite the latest in folders that were."""
    for path in options.resume:
        if path.is_dir() or path == options.results:
            for suite in suites:
                name = f"{origin['device']}-????-??-??-{suite}{'-quick' if options.quick else ''}.json"
                yield from sorted(path.glob(name))[-1:]
        else:
            yield path


def _obstacle(device: torch.device, *, quick: bool) -> str | None:
    """Why nothing can be measured on this device, with what to do about it."""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return "there is no GPU here: --explain says more, and --device cpu --quick sees that everything else works"
        try:
            torch.zeros(1, device=device)
        except RuntimeError as error:
            return f"{device} cannot be used: {str(error).splitlines()[0]}"
        return None
    if device.type != "cpu":
        return f"a device cuda or cpu is expected, got {device}"
    return None if quick else "the sizes are a GPU's: on a CPU only --quick runs (and `make bench` measures)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flagdit-bench",
        description="Time Flag-DiT's operators, blocks and models beside their peers on a GPU, once they compute the "
        "right thing.",
    )
    add = parser.add_argument
    add("--suite", action="append", metavar="NAME", help="suite to run, or module:function; all installed by default")
    add(
        "--only",
        type=_expression,
        metavar="REGEX",
        help="rows that match before the colon, as in 'attention.*16K' or ', (flagdit|eager)$'; with --tune, kernels",
    )
    add("--quick", action="store_true", help="see that it runs: tiny sizes; no number counts")
    add("--budget", type=float, default=float("inf"), metavar="SECONDS", help="begin nothing further after so long")
    add("--results", type=Path, metavar="FOLDER", help="write the JSON of each suite there, anew with each row")
    add(
        "--resume",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="JSON whose rows are kept, not redone; or a folder with it, which may be that of the results",
    )
    add("--device", type=_device, default="cuda", help="cuda, cuda:1, ..., or cpu together with --quick")
    add("--commit", metavar="ID", help="what is measured, if it is in no clone of the repository")
    add("--profile", type=_expression, metavar="REGEX", help="like --only, and record registers and spills of kernels")
    add("--explain", action="store_true", help="say which backend runs each operator and why, and measure nothing")
    add(
        "--tune",
        action="store_true",
        help="time the kernels' configurations that were not timed yet, and keep the fastest for this device",
    )
    return parser


def _device(text: str) -> torch.device:
    try:
        return torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no device: give cuda, cuda:1, ..., or cpu") from error


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error
    return text
