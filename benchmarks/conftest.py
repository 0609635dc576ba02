"""Options, the runner as a fixture, and the JSON at the end."""

import os
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.runner import Runner
from flagdit_kernels.bench.record import Measurement, Refusal, write_suite

_SUITES = pytest.StashKey[dict[str, list[Measurement | Refusal]]]()
_LOAD_AVERAGE = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("lumina benchmarks")
    group.addoption("--bench-results", type=Path, help="folder to write each suite's JSON into; none by default")
    group.addoption("--bench-model", default="nano", help="image model to measure: a name or a folder")
    group.addoption(
        "--bench-quick", action="store_true", help="see that it runs: one round on small sizes; no number counts"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start without rows, and note who else is on the cores."""
    config.stash[_SUITES] = {}
    config.stash[_LOAD_AVERAGE] = os.getloadavg()[0]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write one file a suite, unless something failed."""
    folder = session.config.getoption("--bench-results")
    if folder is None or session.testsfailed:
        return
    for suite, rows in session.config.stash[_SUITES].items():
        write_suite(
            folder,
            suite,
            [row for row in rows if isinstance(row, Measurement)],
            refusals=[row for row in rows if isinstance(row, Refusal)],
            load_average=session.config.stash[_LOAD_AVERAGE],
        )


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether to use small sizes."""
    return request.config.getoption("--bench-quick")


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """The image model to measure: a shipped name or a folder."""
    return request.config.getoption("--bench-model")


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, quick: bool) -> Runner:
    """The runner of this test; its rows go to the suite that the file is named after."""
    suite = request.path.stem.removeprefix("test_")
    return Runner(benchmark=benchmark, rows=request.config.stash[_SUITES].setdefault(suite, []), quick=quick)
