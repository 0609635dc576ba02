"""The kernels' tests under Triton's interpreter, in processes of their own: the switch precedes triton's import."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SUITES = sorted((Path(__file__).parent / "triton_kernels").glob("test_*.py"))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem.removeprefix("test_"))
def test_kernels_under_the_interpreter(suite):
    """Every test of an operator's kernels passes under the interpreter, but those that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not gpu", "-p", "no:cacheprovider", str(suite)]
    run = subprocess.run(
        command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=500, check=False
    )
    summary = run.stdout.strip().splitlines()[-1]
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert re.search(r"\d+ passed", summary), summary
    assert "skipped" not in summary, summary
