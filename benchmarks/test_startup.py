"""The program as users start it: from the command to its answer, and to the first thing that it makes."""

import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import pytest

from benchmarks.processes import peak_memory, run_program
from benchmarks.runner import Runner
from benchmarks.shipped import ARTIFACTS, Artifact

LUMINA = str(Path(sysconfig.get_path("scripts")) / "lumina")


def test_help(measure: Runner) -> None:
    """Time ``lumina --help``, once it lists the commands."""
    command = [LUMINA, "--help"]

    def check() -> None:
        assert "infer" in subprocess.run(command, capture_output=True, text=True, check=True).stdout

    _measure_program(measure, "lumina --help", command, check=check, rounds=10)


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.modality)
def test_first_artifact(measure: Runner, model: str, quick: bool, tmp_path: Path, artifact: Artifact) -> None:
    """Time ``lumina infer`` with its defaults, start-up included, once it writes what it is asked for."""
    file, name = tmp_path / artifact.file, f'lumina infer "{artifact.prompt}" -o {artifact.file}'
    command = [LUMINA, "infer", artifact.prompt, "-o", str(file), "--seed", "0"]
    command += ["--model", model] if artifact.modality == "image" else []
    command += artifact.quick if quick else ()
    if artifact.missing is not None:
        measure.refuse(name, settings={}, reason=artifact.missing)
    _measure_program(measure, name, command, check=lambda: artifact.check(file), rounds=artifact.rounds)


def _measure_program(
    measure: Runner, name: str, command: Sequence[str], *, check: Callable[[], None], rounds: int
) -> None:
    """Time a program; its first run shows its memory and is checked, and brings its files into the page cache."""
    peaks: list[int] = []
    cpu_seconds: list[float] = []

    def gate() -> None:
        peaks.append(peak_memory(command))
        check()

    measure(
        name,
        lambda: cpu_seconds.append(run_program(command)),
        gate=gate,
        settings={},
        rounds=rounds,
        warmup_rounds=0,
        extra=lambda: {"cpu_seconds": median(cpu_seconds), "peak_memory_bytes": peaks[0]},
    )
