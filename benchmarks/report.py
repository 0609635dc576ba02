"""``docs/performance.md`` from the JSON in ``benchmarks/results``: the newest file of each device and suite."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.cells import Suite
from benchmarks.cpu_tables import CPU_TABLES
from benchmarks.gpu_tables import GPU_TITLES, gpu_table
from benchmarks.pages import write_page

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"

_HEAD = """# Performance

Made by `make bench` and `make bench-gpu` from [the JSON of each run](../benchmarks/results), which has every number,
machine, version and commit; not to be edited. Times are medians; ± is half the interquartile range, in percent of the
median. Whatever is timed has first been held to what it should compute. [How it is measured](../benchmarks/README.md).
"""
_GPU_VERSIONS = ("torch", "triton", "cuda", "hip", "cudnn")
_NO_GPU = """
**No GPU has been timed yet.** There is no JSON of a GPU among the results, so nothing is known about how fast the
kernels are on one, and nothing here or elsewhere claims it. `make bench-gpu` on a machine with a GPU fills this in.
"""
_NOTHING = "\nNothing has been measured yet.\n"


def render(folder: Path) -> str:
    """The page.

    Args:
        folder: Holds the suites' JSON.

    Returns:
        Markdown, the same for the same files.
    """
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    suites = newest(suite for suite in found if not suite.get("quick"))
    parts = [_HEAD] if any(map(_is_gpu, suites)) else [_HEAD, _NO_GPU]
    for device in sorted({suite["device"] for suite in suites}):
        here = {suite["suite"]: suite for suite in suites if suite["device"] == device}
        first = next(iter(here.values()))
        parts.append(f"\n## {_machine(first)}\n")
        tables = {name: (GPU_TITLES.get(name, name), gpu_table) for name in here} if _is_gpu(first) else CPU_TABLES
        parts += [f"\n### {title}\n\n{_origin(here[name])}\n\n{table(here[name])}"
                  for name, (title, table) in tables.items() if name in here]  # fmt: skip
    return "".join(parts) if suites else "".join([*parts, _NOTHING])


def newest(suites: Iterable[Suite]) -> list[Suite]:
    """Of each device and suite, the one with the latest date."""
    latest: dict[tuple[str, str], Suite] = {}
    for suite in sorted(suites, key=lambda suite: suite["date"]):
        latest[suite["device"], suite["suite"]] = suite
    return list(latest.values())


def _is_gpu(suite: Suite) -> bool:
    return "accelerator" in suite["machine"]


def _machine(suite: Suite) -> str:
    machine = suite["machine"]
    if _is_gpu(suite):
        return f"{machine['accelerator']['name']}, {machine['accelerator']['memory_bytes'] / 2**30:.0f} GiB"
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB"


def _origin(suite: Suite) -> str:
    """Where the numbers are from, in a line."""
    commit, machine, versions = suite["commit"], suite["machine"], suite["versions"]
    origin = "commit unknown" if commit is None else f"commit {commit['id'][:10]}"
    changed = " with changes" if commit is not None and commit["changed"] else ""
    names = _GPU_VERSIONS if _is_gpu(suite) else ("torch",)
    built = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
    rounds = [row["rounds"] for row in suite["measurements"]] or [0]
    counts = " to ".join(map(str, sorted({min(rounds), max(rounds)})))
    return (
        f"{suite['date']}, {origin}{changed}, {built}; threads: {machine['threads']}; load average before the run: "
        f"{machine['load_average_before']}; timed calls: {counts}."
    )


def main() -> int:
    """Write the page, or see whether it is what the JSON says."""
    return write_page("benchmarks.report", render, results=RESULTS, page=PAGE)


if __name__ == "__main__":
    sys.exit(main())
