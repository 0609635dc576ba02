"""Whole programs: processor seconds and memory."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_program(command: Sequence[str]) -> float:
    """Processor seconds, of user and system together, that a program took.

    Args:
        command: Program and arguments; runs in the repository's root, its output is thrown away.

    Returns:
        Seconds of all its threads.

    Raises:
        CalledProcessError: It failed.
    """
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def peak_memory(command: Sequence[str]) -> int:
    """Bytes that a program held resident at most.

    Args:
        command: Program and arguments; runs in the repository's root, its output is thrown away.

    Returns:
        Its peak.

    Raises:
        CalledProcessError: It failed.
    """
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("peak_memory.py"))]
    return int(subprocess.run([*launcher, *command], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
