"""Memory against the length of a film: flat while it is decoded and written, and of the whole command."""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from benchmarks.films import SIDE
from benchmarks.processes import peak_memory, run_program
from benchmarks.runner import Runner
from benchmarks.test_startup import LUMINA
from lumina_video import read_film

PROMPT = "a large red circle bounces up and down on a white background"
LENGTHS = (64, 128, 512)  # of the first one the encoder holds as many frames as it ever does
COMMAND_LENGTHS = (8, 16, 64)
_QUICK_SHARE = 8


@pytest.mark.parametrize("length", LENGTHS)
def test_decoding_and_writing(
    measure: Runner, quick: bool, tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    """Peak memory without the network, once it grows by less than the decoded pixels of the further frames."""
    share = _QUICK_SHARE if quick else 1
    folder, shortest = tmp_path_factory.getbasetemp(), LENGTHS[0] // share
    length //= share

    def gate() -> None:
        growth = _decoding_peak(length, folder) - _decoding_peak(shortest, folder)
        assert quick or growth <= (length - shortest) * 12 * SIDE**2, f"{growth} bytes more: no number"

    size = f"{SIDE}x{SIDE}"
    measure(
        "decode and write",
        lambda: run_program(_decoding(length, folder)),
        gate=gate,
        settings={"size": size, "frames": length},
        rounds=1,
        warmup_rounds=0,
        extra=lambda: {"peak_memory_bytes": _decoding_peak(length, folder)},
    )


@pytest.mark.parametrize("length", COMMAND_LENGTHS)
def test_command(measure: Runner, tmp_path: Path, length: int) -> None:
    """Peak memory of the command: it holds latents and tokens of all frames, but not their pixels."""
    file, peaks = tmp_path / "film.mp4", list[int]()
    command = [LUMINA, "infer", PROMPT, "-o", str(file), "--seed", "0", "--frames", str(length), "--steps", "2"]
    measure(
        "lumina infer",
        lambda: run_program(command),
        gate=lambda: peaks.append(_checked_peak(command, file, length)),
        settings={"size": "64x64", "frames": length},
        rounds=1,
        warmup_rounds=0,
        extra=lambda: {"peak_memory_bytes": peaks[0]},
    )


def _decoding(length: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.films", str(length), str(folder / f"{length}.mp4")]


@cache
def _decoding_peak(length: int, folder: Path) -> int:
    """Bytes that decoding and writing so many frames takes at most; measured once."""
    return _checked_peak(_decoding(length, folder), folder / f"{length}.mp4", length)


def _checked_peak(command: Sequence[str], file: Path, length: int) -> int:
    """Bytes that a command takes at most, which writes a film of so many frames."""
    peak = peak_memory(command)
    assert len(read_film(file).frames) == length, "the film has another length: no number"
    return peak
