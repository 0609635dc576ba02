"""The program as users start it: from the command to its answer, and to the first picture."""

import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from PIL import Image

from benchmarks.processes import peak_memory, run_program
from benchmarks.runner import Runner

LUMINA = str(Path(sysconfig.get_path("scripts")) / "lumina")
PROMPT = "a large red circle in the center on a white background"


def test_help(measure: Runner) -> None:
    """Time ``lumina --help``, once it lists the commands."""
    command = [LUMINA, "--help"]

    def check() -> None:
        assert "infer" in subprocess.run(command, capture_output=True, text=True, check=True).stdout

    _measure_program(measure, "lumina --help", command, check=check, rounds=10)


def test_first_picture(measure: Runner, model: str, quick: bool, tmp_path: Path) -> None:
    """Time ``lumina infer`` with its defaults, start-up included, once it writes a picture."""
    picture = tmp_path / "first.png"
    command = [LUMINA, "infer", PROMPT, "-o", str(picture), "--model", model, "--seed", "0"]
    command += ["--steps", "1"] if quick else []

    def check() -> None:
        with Image.open(picture) as image:
            assert len(set(image.convert("L").tobytes())) > 1, "the picture is of one colour: no number"

    _measure_program(measure, f'lumina infer "{PROMPT}" -o first.png', command, check=check, rounds=5)


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
