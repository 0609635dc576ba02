"""The tuner, with kernels and a clock that are made up: what it tries, keeps, refuses and writes."""

import importlib
import inspect
import json
import logging
import sys
from types import SimpleNamespace

import pytest
import torch

from flagdit_kernels import OPERATORS, configs, tune
from flagdit_kernels.configs import CANDIDATES, CONFIGS, cache_file, config, find_config, nearest

triton = pytest.importorskip("triton")

from .compiled.absent_gpu import RunOnGPU  # noqa: E402 - only where triton is
from .compiled.operators import SIZES, run  # noqa: E402 - only where triton is

CPU = torch.device("cpu")
SLOW, FAST, WRONG, BROKEN = (config(SPEED=speed) for speed in (10, 1, 2, 3))


class Kernels(SimpleNamespace):
    """An operator's triton module: forward and backward that keep the configurations which they were launched with."""

    def __init__(self) -> None:
        super().__init__(launched=[])

    def forward(self, x, config=None):
        """Twice x, if the configuration is any good."""
        self.launched.append(config)
        if config == BROKEN:
            raise RuntimeError("out of shared memory")
        return 2 * x if config != WRONG else torch.full_like(x, torch.nan)


@pytest.fixture
def kernels(monkeypatch, tmp_path):
    """SwiGLU's kernels made up, with four configurations of which the table has the slowest; small inputs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(CONFIGS["sm_80"], "swiglu.forward", {512: SLOW})
    monkeypatch.setattr(tune, "CANDIDATES", {"swiglu.forward": (SLOW, WRONG, BROKEN, FAST)})
    monkeypatch.setattr(tune, "_NUM_TOKENS", 16)
    made_up = Kernels()
    monkeypatch.setitem(sys.modules, "flagdit_kernels.ops.swiglu.triton", made_up)
    find_config.cache_clear()
    yield made_up
    find_config.cache_clear()


def clock(kernels):
    """A timer that reads the speed off the configuration last launched."""

    def timer(call, device):
        call()
        return float(kernels.launched[-1]["SPEED"])

    return timer


def test_the_fastest_right_candidate_is_kept(kernels, caplog):
    """Faster candidates that are wrong or do not run are named in the log; the fastest of the others is found again."""
    with caplog.at_level(logging.WARNING):
        path = tune.tune(["swiglu.forward"], head_dims=[48, 96], device=CPU, timer=clock(kernels))
    assert path == cache_file(CPU)
    assert json.loads(path.read_text()) == {"swiglu.forward": {"4096": dict(FAST), "8192": dict(FAST)}}
    assert find_config("swiglu.forward", 4096, torch.bfloat16, CPU) == FAST
    assert [("another result" in line, "out of shared memory" in line) for line in caplog.messages] == [
        (True, False),
        (False, True),
    ] * 2


def test_the_table_stays_where_nothing_is_faster(kernels):
    """A candidate that takes as long as the table's configuration does not replace it."""
    path = tune.tune(head_dims=[48], device=CPU, timer=lambda call, device: 1.0)
    assert json.loads(path.read_text()) == {"swiglu.forward": {"4096": dict(SLOW)}}


def test_other_rows_of_the_file_stay(kernels):
    """Tuning one width keeps what was found for others; a former finding is no candidate by itself."""
    tune.tune(head_dims=[48], device=CPU, timer=clock(kernels))
    kernels.launched.clear()
    path = tune.tune(head_dims=[96], device=CPU, timer=lambda call, device: 1.0)
    assert json.loads(path.read_text()) == {"swiglu.forward": {"4096": dict(FAST), "8192": dict(SLOW)}}
    assert kernels.launched[0] == SLOW


def test_an_interrupted_write_leaves_the_old_file(kernels, monkeypatch):
    """The file is replaced in one step: a failure before it changes nothing that a reader sees."""
    path = tune.tune(head_dims=[48], device=CPU, timer=clock(kernels))
    before = path.read_text()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tune.Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        tune.tune(head_dims=[96], device=CPU, timer=clock(kernels))
    assert path.read_text() == before


def test_an_error_keeps_what_was_found_before_it(kernels):
    """What ends the second width takes nothing of the first with it."""
    timed = clock(kernels)

    def lost_later(call, device):
        seconds = timed(call, device)
        if cache_file(CPU).exists():
            raise KeyboardInterrupt
        return seconds

    with pytest.raises(KeyboardInterrupt):
        tune.tune(head_dims=[48, 96], device=CPU, timer=lost_later)
    assert json.loads(cache_file(CPU).read_text()) == {"swiglu.forward": {"4096": dict(FAST)}}


def test_a_call_goes_on_where_another_was_cut_off(kernels):
    """What was timed is not timed again, and what the process ended in is the last of all."""
    killed = []

    def killer(call, device):
        seconds = clock(kernels)(call, device)
        if kernels.launched[-1] == FAST and not killed:
            killed.append(FAST)
            raise KeyboardInterrupt  # which, like the end of the process, nothing catches
        return seconds

    with pytest.raises(KeyboardInterrupt):
        tune.tune(head_dims=[48], device=CPU, timer=killer)
    assert not cache_file(CPU).exists()
    kernels.launched.clear()
    path = tune.tune(head_dims=[48, 96], device=CPU, timer=killer)
    assert json.loads(path.read_text()) == {"swiglu.forward": {"4096": dict(FAST), "8192": dict(FAST)}}
    once_more = [SLOW, FAST, FAST]  # what all are held to, and the one that was cut off, seen and timed
    assert kernels.launched[-3:] == once_more and kernels.launched.count(BROKEN) == 1
    kernels.launched.clear()
    path.unlink()
    assert tune.tune(head_dims=[48], device=CPU, timer=killer) == path
    assert json.loads(path.read_text()) == {"swiglu.forward": {"4096": dict(FAST)}} and not kernels.launched


def test_nothing_is_begun_after_the_time(kernels):
    """A call whose time is up times nothing; the next one does."""
    path = tune.tune(head_dims=[48], device=CPU, timer=clock(kernels), budget=0)
    assert not kernels.launched and not path.exists()
    assert tune.tune(head_dims=[48], device=CPU, timer=clock(kernels)).exists()


def test_an_operator_that_does_not_run_is_in_nobodys_way(kernels, monkeypatch, caplog):
    """Where the table's configuration fails there is a line, and the other operators are tuned."""
    monkeypatch.setitem(tune.CANDIDATES, "layer_norm_modulate.forward", (SLOW,))
    monkeypatch.setitem(CONFIGS["sm_80"], "layer_norm_modulate.forward", {512: BROKEN})
    monkeypatch.setitem(sys.modules, "flagdit_kernels.ops.layer_norm_modulate.triton", kernels)
    path = tune.tune(head_dims=[48], device=CPU, timer=clock(kernels))
    assert json.loads(path.read_text()).keys() == {"swiglu.forward"}
    assert "layer_norm_modulate at width 1536: RuntimeError: out of shared memory" in caplog.text


@pytest.mark.parametrize("where", ["compiler.is_compiling", "cuda.is_current_stream_capturing"])
def test_refused_while_a_graph_is_made(kernels, monkeypatch, where):
    """Neither a compiled nor a captured region may be tuned in; nothing is launched or written."""
    module, function = where.split(".")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(getattr(torch, module), function, lambda: True)
    with pytest.raises(RuntimeError, match="outside of"):
        tune.tune(device=CPU, timer=clock(kernels))
    assert not kernels.launched
    assert not cache_file(CPU).exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_refused_without_a_gpu(device):
    """The default clock is a GPU's: without one the error says so."""
    with pytest.raises(RuntimeError, match="GPU"):
        tune.tune(device=device)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"kernels": ["swiglu"]}, "no kernel 'swiglu'"), ({"head_dims": [64]}, "no head_dim 64")],
)
def test_unknown_names(arguments, words):
    """What cannot be tuned is named, with what can."""
    with pytest.raises(ValueError, match=words):
        tune.tune(**arguments, device=CPU, timer=lambda call, device: 1.0)


@pytest.mark.parametrize("kernel", CANDIDATES)
def test_every_kernel_is_reached(kernel):
    """A kernel's name leads to a function that takes its configuration and whose arguments the operator gives."""
    subject = tune._Subject.of(kernel)
    module = importlib.import_module(f"flagdit_kernels.ops.{subject.operator}.triton")
    taken = inspect.signature(getattr(module, subject.function)).parameters
    suffix = "_backward" if subject.function == "backward" else ""
    registered = getattr(torch.ops.flagdit, subject.operator + suffix).default
    given = {argument.name for argument in registered._schema.arguments} | {subject.argument}
    assert subject.argument in taken
    assert {name for name, parameter in taken.items() if parameter.default is parameter.empty} <= given
    assert nearest(CONFIGS["sm_90"][kernel], 1).keys() == CANDIDATES[kernel][0].keys()


@pytest.mark.parametrize("operator", [name for name, has_triton in OPERATORS.items() if has_triton])
def test_rows_are_written_where_operators_look(operator, monkeypatch):
    """Every configuration that an operator asks for is of a width that the tuner writes for it."""
    asked = set()
    monkeypatch.setattr(configs, "nearest", lambda rows, width: asked.add(width) or nearest(rows, width))
    monkeypatch.setattr(triton.JITFunction, "run", lambda *args, **kwargs: None)
    find_config.cache_clear()
    with RunOnGPU():
        run(operator, SIZES[48], torch.bfloat16)
    find_config.cache_clear()
    assert asked == {tune._width(operator, tune._shape(48))}
