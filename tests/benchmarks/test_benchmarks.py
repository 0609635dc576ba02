"""The benchmarks run, refuse to time what is wrong, and their page says what their JSON says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ...`` in the repository's root, and not as one of several parallel test processes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_suite_runs(tmp_path: Path) -> None:
    """Each suite passes its gates and writes its JSON, whose memory is the program's own; the page shows all five."""
    results, page = tmp_path / "results", tmp_path / "page.md"
    chosen = "not compiled and not 600m and not 128-8 and not 256 and not 512 and not 64 and not ceiling"
    done = python("pytest", "benchmarks", "-q", "--bench-quick", "--bench-results", results, "-k", chosen)
    assert done.returncode == 0, done.stdout
    suites = {suite["suite"]: suite for suite in (json.loads(path.read_text()) for path in results.glob("*.json"))}
    assert suites.keys() == {"startup", "model", "memory", "training", "operators"}
    rows = {row["name"]: row for suite in suites.values() for row in suite["measurements"]}
    assert all(row["median"] > 0 for row in rows.values())
    assert rows["nano update"]["work"]["tokens"] == 4 * 73
    # the process that starts it holds torch and more
    assert (
        rows["lumina --help"]["extra"]["peak_memory_bytes"] < 2**27 < rows["nano update"]["extra"]["peak_memory_bytes"]
    )
    assert python("benchmarks.report", "--results", results, "--page", page).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert all(
        name in text for name in ("lumina infer", "128x128 | 1 | bfloat16", "first.wav", "eager, bfloat16", "`swiglu`")
    )


def test_a_red_gate_gives_no_number(tmp_path: Path) -> None:
    """A call that computes the wrong thing is never timed, and the run writes nothing, not even what was right."""
    suite = tmp_path / "test_red.py"
    suite.write_text(
        "from pathlib import Path\n"
        "def wrong():\n    raise AssertionError('wrong result')\n"
        "def test_right(measure):\n    measure('right', lambda: 1, gate=lambda: None, settings={})\n"
        "def test_wrong(measure):\n"
        "    called = Path(__file__).with_name('called')\n"
        "    measure('wrong', called.touch, gate=wrong, settings={})\n"
    )
    plugin = ("-c", ROOT / "pyproject.toml", "-p", "benchmarks.conftest")
    options = ("--bench-quick", "--bench-results", tmp_path / "results")
    done = python("pytest", *plugin, suite, *options)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout and "wrong result" in done.stdout
    assert not (tmp_path / "called").exists()
    assert not (tmp_path / "results").exists()
    done = python("pytest", *plugin, suite, *options, "-k", "right")
    assert done.returncode == 0, done.stdout
    assert len(list((tmp_path / "results").glob("*-red.json"))) == 1


def operators(date: str, *, ours: float, peer: float) -> dict[str, object]:
    """A suite of one operator, as the runner writes it."""
    row = {
        "name": "swiglu",
        "settings": {"shape": "small", "dtype": "float32"},
        "rounds": 25,
        "warmup_rounds": 5,
        "iqr": 0.1 * ours,
        "fastest": ours,
        "work": {"bytes": 3000},
        "extra": {},
    }
    return {
        "device": "a-cpu",
        "date": date,
        "suite": "operators",
        "machine": {"processor": "A", "cores": 2, "threads": 2, "memory_bytes": 2**34, "load_average_before": 0.1},
        "versions": {"torch": "2"},
        "commit": {"id": "0123456789abcdef", "changed": False},
        "measurements": [
            row | {"implementation": name, "median": median, "settings": row["settings"] | {"direction": direction}}
            for direction in ("forward", "forward+backward")
            for name, median in (("flagdit", ours), ("eager", peer))
        ],
    }


def test_the_page_shows_the_newest_run(tmp_path: Path) -> None:
    """Of two runs the later one is shown: our median with its spread, the rate, and the peer's time over ours."""
    (tmp_path / "a.json").write_text(json.dumps(operators("2026-02-01", ours=2e-6, peer=3e-6)))
    (tmp_path / "b.json").write_text(json.dumps(operators("2026-01-01", ours=9e-6, peer=9e-6)))
    page = tmp_path / "page.md"
    assert python("benchmarks.report", "--results", tmp_path, "--page", page).returncode == 0
    cells = "2 ± 5 % | 1.5 GB/s | eager 1.50"
    assert f"| `swiglu` | small | float32 | {cells} | {cells} |" in page.read_text(encoding="utf-8")
    assert "2026-01-01" not in page.read_text(encoding="utf-8")


def gpu_operators() -> dict[str, object]:
    """A suite of one operator on a GPU, as ``flagdit-bench`` writes it."""
    shared = {"name": "swiglu", "settings": {"shape": "3072/96 16K", "dtype": "bfloat16", "direction": "forward"}}
    timed = {"rounds": 25, "warmup_rounds": 5, "launches": [], "backend": None}

    def row(implementation: str, milliseconds: float, peak: int) -> dict[str, object]:
        times = {"median": milliseconds / 1e3, "iqr": milliseconds / 1e4, "fastest": milliseconds / 1e3}
        readings = {"work": {"bytes": 3 * 10**9}, "extra": {"peak_memory_bytes": peak, "host_seconds": 1e-5}}
        return shared | timed | times | readings | {"implementation": implementation}

    copy = row("flagdit", 1.0, 0) | {"name": "copy", "settings": {"dtype": "bfloat16"}, "work": {"bytes": 4 * 10**9}}
    kernel = {
        "kernel": "flagdit_kernels.ops.swiglu.triton._forward_kernel",
        "constants": {"BLOCK_L": 4},
        "num_warps": 4,
        "num_stages": 3,
        "registers": 40,
        "spilled_bytes": 16,
        "shared_memory_bytes": 0,
    }
    ours = row("flagdit", 1.0, 2**30) | {"backend": "triton", "launches": [kernel]}
    reason = "liger_kernel.ops.swiglu cannot be imported"
    absent = shared | {"implementation": "liger", "reason": reason, "red": False}
    red = shared | {
        "name": "attention",
        "implementation": "flagdit",
        "reason": "relative error 0.3: no number",
        "red": True,
    }
    suite = operators("2026-03-01", ours=1e-6, peer=1e-6)
    gpu = {"name": "NVIDIA H200", "capability": "9.0", "multiprocessors": 132, "memory_bytes": 139 * 2**30}
    return suite | {
        "device": "nvidia-h200",
        "machine": suite["machine"] | {"accelerator": gpu},
        "versions": {"torch": "2.11", "triton": "3.6", "cuda": "13.0"},
        "commit": None,
        "measurements": [copy, ours, row("eager", 3.0, 2**31), row("compiled", 1.1, 2**30)],
        "refusals": [absent, red],
    }


def test_the_page_of_a_gpu(tmp_path: Path) -> None:
    """Ours with its share of the ceiling, peers as ratios, memory beside eager's, kernels, and every missing number."""
    (tmp_path / "a.json").write_text(json.dumps(operators("2026-02-01", ours=2e-6, peer=3e-6)))
    page = tmp_path / "page.md"
    assert python("benchmarks.report", "--results", tmp_path, "--page", page).returncode == 0
    assert "No GPU has been timed yet" in page.read_text(encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps(gpu_operators()))
    (tmp_path / "c.json").write_text(json.dumps(gpu_operators() | {"suite": "blocks", "quick": True}))
    assert python("benchmarks.report", "--results", tmp_path, "--page", page).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "No GPU has been timed yet" not in text and "## NVIDIA H200, 139 GiB" in text and "## A, 2 cores" in text
    assert "commit unknown, torch 2.11, triton 3.6, cuda 13.0" in text and "copy 4.0 TB/s" in text
    cells = "3072/96 16K, bfloat16 | forward | 1.000 ± 5 % | 3.0 TB/s | 0.75 | eager 3.00, compiled 1.10"
    assert f"| `swiglu` | {cells} | 1.00 GiB (0.50 of eager) |" in text
    assert "| `attention` | 3072/96 16K, bfloat16 | forward | no number: red |" in text
    assert "| `swiglu.triton._forward_kernel` | 3072/96 16K, bfloat16, forward | 4 | 3 | 40 | 16 | 0 |" in text
    assert "- liger, 1 row: liger_kernel.ops.swiglu cannot be imported\n" in text
    assert "- flagdit, 1 row, **red**: relative error 0.3: no number\n" in text
    assert "### Blocks" not in text  # what was run to see that it runs is not shown


def test_the_command_s_json_is_readable(tmp_path: Path) -> None:
    """What ``flagdit-bench`` writes, without being installed, the page can show."""
    results, page = tmp_path / "results", tmp_path / "page.md"
    words = ("--suite", "flagdit_kernels.bench.operator_suite:operators", "--only", "^attention .* forward$")
    done = python("flagdit_kernels.bench", "--device", "cpu", "--quick", "--results", results, *words)
    assert done.returncode == 0, done.stderr
    (path,) = results.glob("*-operators-quick.json")
    suite = json.loads(path.read_text(encoding="utf-8")) | {"quick": False}
    gpu = {"name": "A GPU", "capability": "9.0", "multiprocessors": 1, "memory_bytes": 2**30}
    path.write_text(json.dumps(suite | {"machine": suite["machine"] | {"accelerator": gpu}}))
    assert python("benchmarks.report", "--results", results, "--page", page).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "## A GPU, 1 GiB" in text and "| `attention` (reference) | 192/96 packed, bfloat16 | forward |" in text
    assert "needs a GPU" in text


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """docs/performance.md is what benchmarks/results says, and a page that is not is noticed."""
    done = python("benchmarks.report", "--check")
    assert done.returncode == 0, done.stderr
    stale = tmp_path / "page.md"
    stale.write_text((ROOT / "docs" / "performance.md").read_text(encoding="utf-8") + "a number without JSON\n")
    done = python("benchmarks.report", "--check", "--page", stale)
    assert done.returncode == 1 and "run python -m benchmarks.report" in done.stderr
