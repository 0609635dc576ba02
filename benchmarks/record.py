"""The JSON of a suite: what was measured, and where."""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cpuinfo
import torch

ROOT = Path(__file__).parents[1]

_DISTRIBUTIONS = ("flagdit-kernels", "flagdit-core", "lumina-image", "torch", "transformers", "diffusers", "numpy")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row of a suite.

    Attributes:
        name: What was timed, the same for all its implementations.
        implementation: Ours is "flagdit"; the others are its peers.
        settings: Shape, dtype, direction and the like; what has equal name and settings is comparable.
        rounds: Timed calls, after ``warmup_rounds``.
        warmup_rounds: Calls before them that were not timed.
        median: Seconds of a call.
        iqr: Spread: the interquartile range, in seconds.
        fastest: Shortest call, in seconds.
        work: What one call does: "bytes", "flops", "tokens", "pictures".
        extra: Further readings, such as "cpu_seconds" and "peak_memory_bytes".
    """

    name: str
    implementation: str
    settings: Mapping[str, str | int]
    rounds: int
    warmup_rounds: int
    median: float
    iqr: float
    fastest: float
    work: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)


def write_suite(folder: Path, suite: str, measurements: Sequence[Measurement], *, load_average: float) -> Path:
    """Write ``<device>-<date>-<suite>.json``.

    Args:
        folder: Made if missing.
        suite: Name of the suite.
        measurements: Its rows.
        load_average: Of the machine before the run: processes that competed for the cores.

    Returns:
        The file.
    """
    machine = describe_machine()
    device = re.sub(r"[^a-z0-9]+", "-", f"{machine['processor']} {machine['cores']} cores".lower()).strip("-")
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    content = {
        "device": device,
        "date": today,
        "suite": suite,
        "machine": machine | {"load_average_before": round(load_average, 2)},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS},
        "commit": describe_commit(),
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{device}-{today}-{suite}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def describe_machine() -> dict[str, Any]:
    """Processor, cores that this process may use, threads that torch uses, memory and system."""
    return {
        "processor": cpuinfo.get_cpu_info()["brand_raw"],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe_commit() -> dict[str, str | bool]:
    """The commit that was measured, and whether files that it tracks were changed."""
    return {"id": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607 - the developer's git
