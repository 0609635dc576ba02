"""``docs/performance.md`` from the JSON in ``benchmarks/results``: the newest file of each device and suite."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"

Suite = dict[str, Any]
Row = dict[str, Any]

_HEAD = """# Performance

Made by `make bench` from [the JSON of each run](../benchmarks/results), which has every number, machine, version and
commit; not to be edited. Times are medians; ± is half the interquartile range, in percent of the median. Whatever is
timed has first been held to what it should compute. [How it is measured](../benchmarks/README.md).
"""
_NOTHING = "\nNothing has been measured yet.\n"


def render(folder: Path) -> str:
    """The page.

    Args:
        folder: Holds the suites' JSON.

    Returns:
        Markdown, the same for the same files.
    """
    suites = newest([json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))])
    parts = [_HEAD]
    for device in sorted({suite["device"] for suite in suites}):
        here = {suite["suite"]: suite for suite in suites if suite["device"] == device}
        parts.append(f"\n## {_machine(next(iter(here.values())))}\n")
        parts += [f"\n### {title}\n\n{_origin(here[name])}\n\n{table(here[name])}"
                  for name, (title, table) in TABLES.items() if name in here]  # fmt: skip
    return "".join(parts) if suites else _HEAD + _NOTHING


def newest(suites: Iterable[Suite]) -> list[Suite]:
    """Of each device and suite, the one with the latest date."""
    latest: dict[tuple[str, str], Suite] = {}
    for suite in sorted(suites, key=lambda suite: suite["date"]):
        latest[suite["device"], suite["suite"]] = suite
    return list(latest.values())


def _machine(suite: Suite) -> str:
    machine = suite["machine"]
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB"


def _origin(suite: Suite) -> str:
    """Where the numbers are from, in a line."""
    commit, machine = suite["commit"], suite["machine"]
    changed = " with changes" if commit["changed"] else ""
    rounds = sorted({row["rounds"] for row in suite["measurements"]})
    counts = f"{rounds[0]}" if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    return (
        f"{suite['date']}, commit {commit['id'][:10]}{changed}, torch {suite['versions']['torch']}; threads: "
        f"{machine['threads']}; load average before the run: {machine['load_average_before']}; timed calls: {counts}."
    )


def _startup(suite: Suite) -> str:
    return _table(
        ("program", "calls", "seconds", "processor seconds", "peak memory"),
        [
            (f"`{row['name']}`", row["rounds"], _time(row, 1, 2), f"{row['extra']['cpu_seconds']:.2f}", _memory(row))
            for row in suite["measurements"]
        ],
    )


def _model(suite: Suite) -> str:
    rows = []
    for row in suite["measurements"]:
        settings = row["settings"]
        each = 1e3 * row["median"] / row["work"]["pictures"]
        rows.append((settings["size"], settings["batch"], settings["dtype"], _time(row, 1e3, 1), f"{each:.1f}"))
    return "A step of the shipped model under guidance, which evaluates each picture twice.\n\n" + _table(
        ("pictures of", "batch", "dtype", "ms a step", "ms a picture"), rows
    )


def _training(suite: Suite) -> str:
    rows = []
    for row in suite["measurements"]:
        settings = row["settings"]
        rate = row["work"]["tokens"] / row["median"]
        how = f"{settings['form']}, {settings['precision']}, {settings['threads']} thread"
        rows.append((how, settings["batch"], _time(row, 1, 3), f"{rate:,.0f}", _memory(row)))
    return "Updates of the shipped model and its text encoder by the recipe's settings, on pictures of 128x128.\n\n" + (
        _table(("form", "batch", "seconds an update", "tokens a second", "peak memory"), rows)
    )


def _operators(suite: Suite) -> str:
    """Ours beside its peers, one line for each operator, shape and dtype."""
    measurements = suite["measurements"]
    ceilings = ", ".join(f"{r['name']} {r['settings']['dtype']} {_rate(r)}" for r in measurements if _is_ceiling(r))
    lines: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in measurements:
        if not _is_ceiling(row):
            settings = row["settings"]
            line = lines.setdefault((row["name"], settings["shape"], settings["dtype"]), {})
            line.setdefault(settings["direction"], []).append(row)
    cells = [
        (f"`{name}`", shape, dtype, *_against_peers(line["forward"]), *_against_peers(line["forward+backward"]))
        for (name, shape, dtype), line in lines.items()
    ]
    header = ("operator", "shape", "dtype", "forward µs", "rate", "peers", "forward + backward µs", "rate", "peers")
    return (
        f"What the machine can do at best: {ceilings}. Small tensors stay in its caches and may beat the copy.\n"
        "A peer's figure is its time over ours in the same run: above 1, ours is faster.\n\n"
    ) + _table(header, cells)


def _is_ceiling(row: Row) -> bool:
    return row["name"] in ("copy", "matmul")


def _against_peers(rows: Sequence[Row]) -> tuple[str, str, str]:
    """Our time, our rate, and each peer's time over ours."""
    (ours,) = (row for row in rows if row["implementation"] == "flagdit")
    peers = [f"{row['implementation']} {row['median'] / ours['median']:.2f}" for row in rows if row is not ours]
    return _time(ours, 1e6, 0), _rate(ours), ", ".join(peers)


def _rate(row: Row) -> str:
    """Bytes or operations a second."""
    kind, unit = ("flops", "GFLOP/s") if "flops" in row["work"] else ("bytes", "GB/s")
    return f"{row['work'][kind] / row['median'] / 1e9:.1f} {unit}"


def _time(row: Row, scale: float, digits: int) -> str:
    """The median with its spread."""
    return f"{scale * row['median']:.{digits}f} ± {50 * row['iqr'] / row['median']:.0f} %"


def _memory(row: Row) -> str:
    peak = row["extra"].get("peak_memory_bytes")
    return "" if peak is None else f"{peak / 2**20:.0f} MiB"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


TABLES: dict[str, tuple[str, Callable[[Suite], str]]] = {
    "startup": ("From the command to the picture", _startup),
    "model": ("A denoising step", _model),
    "training": ("Training", _training),
    "operators": ("Operators", _operators),
}


def main() -> int:
    """Write the page, or see whether it is what the JSON says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is out of date")
    options = parser.parse_args()
    text = render(options.results)
    if not options.check:
        options.page.write_text(text, encoding="utf-8")
    elif not options.page.is_file() or options.page.read_text(encoding="utf-8") != text:
        print(f"{options.page} is not what {options.results} says; run python -m benchmarks.report", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
