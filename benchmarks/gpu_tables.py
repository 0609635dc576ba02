"""The tables of what ``flagdit-bench`` measured: ours, its share of the ceiling, and each peer as a ratio."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks import cells
from benchmarks.cells import Row, Suite

OURS = "flagdit"
GPU_TITLES = {"operators": "Operators", "blocks": "Blocks", "models": "The 5b network"}

_NOTE = (
    "A peer's figure is its time over ours in the same run: above 1, ours is faster. The share is of the copy for\n"
    "bytes and of the matrix product for operations; peak memory counts inputs and weights.\n\n"
)


def gpu_table(suite: Suite) -> str:
    """One line for each case, the kernels that were profiled, and why numbers are missing."""
    ceilings = {row["name"]: row for row in suite["measurements"] if cells.is_ceiling(row)}
    best = ", ".join(f"{name} {cells.rate(row, 'T')}" for name, row in ceilings.items())
    header = ("what", "size", "direction", "ms", "rate", "share", "peers", "peak memory")
    lines = [_line(case, rows, ceilings) for case, rows in _cases(suite).items()]
    parts = [f"What the device can do at best: {best}. {_NOTE}", cells.table(header, lines)]
    return "".join([*parts, *_profile(suite), *_missing(suite)])


def _cases(suite: Suite) -> dict[tuple[str, str, str], dict[str, Row]]:
    """Rows by implementation, for each case; a row without a number has a reason."""
    cases: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in (*suite["measurements"], *suite["refusals"]):
        if not cells.is_ceiling(row):
            settings = dict(row["settings"])
            direction = settings.pop("direction", "")
            case = (row["name"], ", ".join(map(str, settings.values())), direction)
            cases.setdefault(case, {})[row["implementation"]] = row
    return cases


def _line(case: tuple[str, str, str], rows: dict[str, Row], ceilings: dict[str, Row]) -> tuple[str, ...]:
    name, size, direction = case
    timed = {implementation: row for implementation, row in rows.items() if "median" in row}
    ours = timed.pop(OURS, None)
    if ours is None:
        why = "red" if rows.get(OURS, {}).get("red") else "not here"
        peers = ", ".join(f"{peer} {1e3 * row['median']:.3f} ms" for peer, row in timed.items())
        return f"`{name}`", size, direction, f"no number: {why}", "", "", peers, ""
    peers = ", ".join(f"{peer} {row['median'] / ours['median']:.2f}" for peer, row in timed.items())
    note = " (reference)" if ours.get("backend") == "reference" else ""
    return (
        f"`{name}`{note}", size, direction, cells.time(ours, 1e3, 3), _rate(ours), _share(ours, ceilings), peers,
        _memory(ours, timed.get("eager")),
    )  # fmt: skip


def _rate(row: Row) -> str:
    if "tokens" in row["work"]:
        return f"{row['work']['tokens'] / row['median']:,.0f} tokens/s"
    return cells.rate(row, "T")


def _share(row: Row, ceilings: dict[str, Row]) -> str:
    """Of what the device can do, in the same unit."""
    for kind, name in (("flops", "matmul"), ("bytes", "copy")):
        if kind in row["work"] and name in ceilings:
            ceiling = ceilings[name]
            return f"{row['work'][kind] / row['median'] / (ceiling['work'][kind] / ceiling['median']):.2f}"
    return ""


def _memory(ours: Row, eager: Row | None) -> str:
    if "peak_memory_bytes" not in ours["extra"]:
        return ""
    peak = ours["extra"]["peak_memory_bytes"]
    share = f" ({peak / eager['extra']['peak_memory_bytes']:.2f} of eager)" if eager is not None else ""
    return f"{peak / 2**30:.2f} GiB{share}"


def _profile(suite: Suite) -> Iterator[str]:
    """The compiled kernels, where they were asked for."""
    lines: list[tuple[Any, ...]] = []
    for row in suite["measurements"]:
        size = ", ".join(map(str, row["settings"].values()))
        for kernel in row.get("launches", ()):
            lines.append(
                (
                    f"`{kernel['kernel'].removeprefix('flagdit_kernels.ops.')}`", size, kernel["num_warps"],
                    kernel["num_stages"], kernel["registers"], kernel["spilled_bytes"], kernel["shared_memory_bytes"],
                )
            )  # fmt: skip
    if lines:
        header = ("kernel", "size", "warps", "stages", "registers", "bytes spilled", "bytes shared")
        yield "\nAs compiled:\n\n" + cells.table(header, lines)


def _missing(suite: Suite) -> Iterator[str]:
    """Each reason once, with how many rows it kept from a number."""
    reasons = Counter((row["implementation"], row["red"], row["reason"]) for row in suite["refusals"])
    if reasons:
        yield "\nWithout a number:\n\n"
    for (implementation, red, reason), count in sorted(reasons.items()):
        rows = "row" if count == 1 else "rows"
        yield f"- {implementation}, {count} {rows}{', **red**' if red else ''}: {reason}\n"
