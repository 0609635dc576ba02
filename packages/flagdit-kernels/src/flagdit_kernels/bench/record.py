"""The JSON of a suite: what was measured, and where."""

import datetime
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_DISTRIBUTIONS = (
    "flagdit-kernels", "flagdit-core", "lumina-image", "lumina-video", "lumina-3d", "lumina-audio", "torch", "triton",
    "transformers", "diffusers", "numpy", "liger-kernel",
)  # fmt: skip
_CPU = torch.device("cpu")
CUT_OFF = "begun, and the process ended: it crashed, or its time was up"
"""The reason of a row that was being measured when the JSON was written last; who goes on measures it at the end."""


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
        extra: Further readings, such as "cpu_seconds", "host_seconds" and "peak_memory_bytes".
        backend: Which backend of ours ran, if one was chosen.
        launches: The kernels that one call launched, as `compiled_kernels` describes them, if that was asked for.
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
    backend: str | None = None
    launches: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A row without a number.

    Attributes:
        name: As in `Measurement`.
        implementation: As in `Measurement`.
        settings: As in `Measurement`.
        reason: Why, in a line.
        red: The gate is red, or ours failed; otherwise the implementation cannot run here.
    """

    name: str
    implementation: str
    settings: Mapping[str, str | int]
    reason: str
    red: bool


def write_suite(
    folder: Path,
    suite: str,
    measurements: Sequence[Measurement],
    *,
    load_average: float,
    refusals: Sequence[Refusal] = (),
    device: torch.device = _CPU,
    commit: str | None = None,
    quick: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``<device>-<date>-<suite>.json``, or ``...-quick.json``.

    Args:
        folder: Made if missing.
        suite: Name of the suite.
        measurements: Its rows.
        load_average: Of the machine before the run: processes that competed for the cores.
        refusals: Rows without a number.
        device: What was measured.
        commit: What was measured, where git cannot tell.
        quick: The numbers mean nothing, and are not to be shown.
        origin: What `describe_origin` said of device and commit, from a device that may be lost by now.

    Returns:
        The file, which was replaced as a whole.
    """
    origin = origin or describe_origin(device, commit)
    content = {
        "device": origin["device"],
        "date": _today(),
        "suite": suite,
        "quick": quick,
        "machine": origin["machine"] | {"load_average_before": round(load_average, 2)},
        "versions": origin["versions"],
        "commit": origin["commit"],
        "measurements": [vars(measurement) for measurement in measurements],
        "refusals": [vars(refusal) for refusal in refusals],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = suite_file(folder, suite, origin, quick=quick)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def suite_file(folder: Path, suite: str, origin: Mapping[str, Any], *, quick: bool) -> Path:
    """The file that `write_suite` writes today, which need not exist."""
    return folder / f"{origin['device']}-{_today()}-{suite}{'-quick' if quick else ''}.json"


def read_suite(path: Path, origin: Mapping[str, Any]) -> tuple[str, list[Measurement], list[Refusal]]:
    """Name and rows of a suite that `write_suite` wrote, to go on with.

    Args:
        path: The JSON.
        origin: What `describe_origin` says here and now: rows of something else are not to be mixed with it.

    Returns:
        The suite's name, its measurements and its refusals.

    Raises:
        ValueError: It is no such file, or was measured elsewhere, with other versions, or at another commit.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [Measurement(**row) for row in content["measurements"]]
        refusals = [Refusal(**row) for row in content["refusals"]]
        for what in ("device", "versions", "commit"):
            if content[what] != origin[what]:
                raise ValueError(f"{path} has another {what}, {content[what]}, than this run, {origin[what]}")
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not the JSON of a suite: {type(error).__name__}: {error}") from error
    return content["suite"], rows, refusals


def describe_origin(device: torch.device, commit: str | None = None) -> dict[str, Any]:
    """What numbers depend on: a short name of the device, the machine, versions and commit.

    Args:
        device: What is measured.
        commit: What is measured, where git cannot tell.

    Returns:
        ``device``, ``machine``, ``versions`` and ``commit``, ready for JSON.
    """
    machine = describe_machine(device)
    name = machine.get("accelerator", {}).get("name") or f"{machine['processor']} {machine['cores']} cores"
    return {
        "device": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "machine": machine,
        "versions": describe_versions(),
        "commit": {"id": commit, "changed": False} if commit else describe_commit(),
    }


def describe_machine(device: torch.device = _CPU) -> dict[str, Any]:
    """Processor, cores that this process may use, threads that torch uses, memory, system, and a GPU if it is one."""
    machine: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine["accelerator"] = {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_bytes": properties.total_memory,
        }
    return machine


def describe_versions() -> dict[str, str]:
    """Python, what is installed of the packages that matter here, and what torch was built with."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    cudnn = torch.backends.cudnn.version()
    built = {"cuda": torch.version.cuda, "hip": torch.version.hip, "cudnn": cudnn and str(cudnn)}
    return versions | {name: version for name, version in built.items() if version}


def describe_commit() -> dict[str, str | bool] | None:
    """The commit that is measured, and whether files that it tracks were changed; None if this file is in no clone."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"id": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.run(  # noqa: S603 - fixed words
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    """The processor's name as people know it, where the system tells."""
    described = Path("/proc/cpuinfo")
    if described.is_file():
        names = re.findall(r"^model name\s*: (.+)$", described.read_text(encoding="utf-8"), re.MULTILINE)
        if names:
            return str(names[0])
    return platform.processor() or platform.machine()
