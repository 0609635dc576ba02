"""Which backend runs, and what is said when the one asked for cannot."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import flagdit_kernels as fk
from flagdit_kernels import backends
from flagdit_kernels.backends import resolve

from .cases import CASES, LAYOUTS


def test_import_loads_no_triton():
    """Importing the package, and running an operator on a CPU, leaves triton unimported."""
    code = (
        "import sys, torch; before = 'triton' in sys.modules; import flagdit_kernels as fk;"
        "fk.swiglu(torch.randn(2, 4)); assert before or 'triton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_triton_on_a_cpu_is_refused(case):
    """Asking by name for what cannot run is an error that says why, for every operator; never a silent fallback."""
    inputs = case.inputs(LAYOUTS["ragged"], torch.float32)
    without_segments = case.operator in ("swiglu", "qk_norm_rope")
    if without_segments:
        inputs = {name: value for name, value in inputs.items() if name not in ("cu_seqlens", "max_seqlen")}
    with pytest.raises(fk.BackendUnavailableError, match=r"cannot run .*(no Triton version|CUDA or ROCm)"):
        getattr(fk, case.operator)(**inputs, backend="triton")
    with pytest.raises(ValueError, match="backend must be"):
        getattr(fk, case.operator)(**inputs, backend="cuda")


def test_auto_picks_triton_where_it_can_run(monkeypatch):
    """On a GPU "auto" is Triton for operators that have it, the reference for others, and for float64."""
    monkeypatch.setattr(backends, "_TRITON_INSTALLED", True)
    with FakeTensorMode():
        x = torch.empty(2, 4, device="cuda")
        assert resolve("swiglu", "auto", x) == "triton"
        assert resolve("swiglu", "triton", x) == "triton"
        assert resolve("swiglu", "reference", x) == "reference"
        assert resolve("swiglu", "auto", x.double()) == "reference"
        assert resolve("swiglu", "auto", torch.empty(2, 4)) == "reference"
        monkeypatch.setitem(backends.OPERATORS, "swiglu", False)
        assert resolve("swiglu", "auto", x) == "reference"
        with pytest.raises(fk.BackendUnavailableError, match="no Triton version"):
            resolve("swiglu", "triton", x)


def test_an_old_gpu_has_the_reference(monkeypatch):
    """A GPU older than Triton supports is not taken for one that can run it; AMD's capabilities mean something else."""
    monkeypatch.setattr(backends, "_TRITON_INSTALLED", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: {None: SimpleNamespace(major=7)}[device.index]
    )
    for device in ("cuda", "cuda:9"):
        old = fk.explain("swiglu", device)["swiglu"]
        assert old["backend"] == "reference" and "capability 8.0" in old["reason"]
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert fk.explain("swiglu", "cuda")["swiglu"]["backend"] == "triton"


def test_the_device_is_asked_when_a_graph_is_made():
    """What the choice asks of a device is a constant to the compiler, no break in the graph."""

    def choose(x):
        return x + backends._is_too_old(x.device)

    compiled = torch.compile(choose, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(2)), choose(torch.ones(2)))


def test_explain(monkeypatch):
    """One line per operator says which backend runs, and why not Triton."""
    monkeypatch.setattr(backends, "_TRITON_INSTALLED", False)
    everything = fk.explain()
    assert everything.keys() == backends.OPERATORS.keys()
    assert {choice["backend"] for choice in everything.values()} == {"reference"}
    assert "pip install" in fk.explain("swiglu", "cuda")["swiglu"]["reason"]
    monkeypatch.setattr(backends, "_TRITON_INSTALLED", True)
    assert fk.explain("swiglu", torch.device("cuda", 0))["swiglu"]["backend"] == "triton"
    assert fk.explain("attention", "cuda", head_dim=96)["attention"]["backend"] == "triton"
    by_head = fk.explain(device="cuda", head_dim=72)
    assert {name for name, choice in by_head.items() if choice["backend"] == "reference"} == {
        "attention",
        "gated_cross_attention",
    }
    assert "head_dim 72" in by_head["attention"]["reason"]
    with pytest.raises(ValueError, match="no operator 'gelu'"):
        fk.explain("gelu")


def test_table_matches_the_folders():
    """The table says Triton exactly where an operator's folder has the file."""
    from pathlib import Path

    folder = Path(backends.__file__).parent / "ops"
    found = {path.name: (path / "triton.py").exists() for path in folder.iterdir() if (path / "reference.py").exists()}
    assert found == backends.OPERATORS
