"""``flagdit-bench`` on a CPU: everything but the kernels and the GPU's clock."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from flagdit_kernels import OPERATORS, tune
from flagdit_kernels.bench import (
    Case,
    Conditions,
    RedGateError,
    Trial,
    UnavailableError,
    command,
    launches,
    record,
    runner,
)
from flagdit_kernels.bench.clock import ONCE, Plan, time_call
from flagdit_kernels.bench.command import main
from flagdit_kernels.bench.runner import DeviceLostError, Runner

CPU = torch.device("cpu")
ON_A_CPU = ("--device", "cpu", "--quick")


def read(folder: Path) -> dict:
    """The one JSON of a folder."""
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def case(name: str, *implementations: str, trial) -> Case:
    """A case without inputs."""
    return Case(name=name, settings={"size": 1}, implementations=implementations, prepare=lambda: trial)


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch):
    """What makes a suite of cases that the command finds as ``a_module:a_suite``."""

    def make(*cases: Case) -> str:
        module = ModuleType("a_module")
        module.a_suite = lambda conditions: iter(cases)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "a_module", module)
        return "a_module:a_suite"

    return make


def green() -> None:
    """A gate that lets everything pass."""


def test_operators_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The installed suite runs: times and work of ours and the peers, the ceilings, and why others have no number."""
    only = "^attention .*packed"
    assert main([*ON_A_CPU, "--suite", "operators", "--only", only, "--results", str(tmp_path)]) == 0
    written = read(tmp_path)
    assert written["suite"] == "operators" and written["quick"]
    rows = {
        (row["name"], row["settings"].get("direction"), row["implementation"]): row for row in written["measurements"]
    }
    assert {("copy", None, "flagdit"), ("matmul", None, "flagdit")} < rows.keys()
    for direction in ("forward", "forward+backward"):
        ours = rows["attention", direction, "flagdit"]
        assert ours["median"] > 0 and ours["work"]["flops"] > 0 and ours["backend"] == "reference"
        assert rows["attention", direction, "sdpa"]["median"] > 0
    reasons = {row["implementation"]: row["reason"] for row in written["refusals"]}
    assert "needs a GPU" in reasons["flex"] and "backend" in reasons["sdpa-cudnn"]
    assert not any(row["red"] for row in written["refusals"])
    assert "attention 192/96 packed bfloat16 forward, flex: not here: " in capsys.readouterr().out


@pytest.mark.slow
def test_compiled_peers(tmp_path: Path):
    """``torch.compile`` of plain forms passes the gate, on one segment and, where there is a loop, on several."""
    only = r"qk_norm_rope 96/48 33 .* forward$|gated_cross_attention 96/48 packed .* forward\+"
    assert main([*ON_A_CPU, "--suite", "operators", "--only", only, "--results", str(tmp_path)]) == 0
    rows = read(tmp_path)["measurements"]
    assert len([row for row in rows if row["implementation"] == "compiled"]) == 2


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Without a GPU the command says so in a line, with what to do, and exits with 2."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "no GPU" in said.err and "--explain" in said.err and "--device cpu --quick" in said.err
    assert main(["--device", "cpu"]) == 2
    assert "--quick" in capsys.readouterr().err


def test_explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """``--explain`` works without a GPU: versions, and for each operator a backend with its reason."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert main(["--explain", "--device", "cuda:9"]) == 0
    assert main(["--explain", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"torch {torch.__version__}" in said and "no GPU: " in said and "suites: " in said
    assert all(f"  {operator}: reference (" in said for operator in OPERATORS)


def test_tune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """``--tune`` has the tuner time the kernels that were asked for, on the device, and says which file it wrote."""
    asked = []
    monkeypatch.setattr(command, "_obstacle", lambda device, quick: None)

    def tuned(kernels, device, budget):
        assert 900 < budget <= 1000
        asked.append((kernels, device))
        return Path("a-file.json")

    monkeypatch.setattr(tune, "tune", tuned)
    assert main(["--tune", "--only", "swiglu.forward", "--budget", "1000"]) == 0
    assert asked == [(["swiglu.forward"], torch.device("cuda"))]
    assert capsys.readouterr().out == "a-file.json\n"
    for words in (["--only", "nothing"], ["--device", "cpu", "--quick"]):
        assert main(["--tune", *words]) == 2
        assert "swiglu.forward" in capsys.readouterr().err
    assert len(asked) == 1


def test_wrong_input(suite, capsys: pytest.CaptureFixture[str]):
    """An unknown suite, a module that is not there, a suite twice and a broken expression end with 2 and one line."""
    for words in (["nothing"], ["no.such.module:x"], ["math:nothing"], ["operators", "operators"]):
        words = [f"--suite={word}" for word in words]
        assert main([*ON_A_CPU, *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    for words in (["--only", "("], ["--device", "gpu"]):
        with pytest.raises(SystemExit, match="2"):
            main([*ON_A_CPU, *words])


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A GPU of a number that there is none of ends with 2 and one line."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: invalid device ordinal\nand advice")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", refuse)
    assert main(["--device", "cuda:7"]) == 2
    assert capsys.readouterr().err == "flagdit-bench: cuda:7 cannot be used: CUDA error: invalid device ordinal\n"


def test_a_red_gate_gives_no_number(suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What computes the wrong thing is never timed; its row says so, the others have theirs, and the exit code is 1."""
    called = []

    def wrong() -> None:
        raise RedGateError("wrong by half: no number")

    def trial(name: str) -> Trial:
        return Trial(call=lambda: called.append(name), gate=wrong if name == "peer" else green)

    assert (
        main([*ON_A_CPU, "--suite", suite(case("it", "flagdit", "peer", trial=trial)), "--results", str(tmp_path)]) == 1
    )
    written = read(tmp_path)
    assert set(called) == {"flagdit"}
    assert [row["implementation"] for row in written["measurements"] if row["name"] == "it"] == ["flagdit"]
    (refusal,) = written["refusals"]
    assert refusal["implementation"] == "peer" and refusal["red"] and refusal["reason"] == "wrong by half: no number"
    assert "peer: RED: wrong by half" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "error", "red"),
    [
        ("peer", RuntimeError("no kernel\nat all"), False),
        ("flagdit", RuntimeError("no kernel\nat all"), True),
        ("flagdit", torch.OutOfMemoryError("no kernel"), False),
        ("flagdit", UnavailableError("no kernel"), False),
    ],
)
def test_failures_do_not_end_the_run(name: str, error: Exception, red: bool):
    """An error is that row's reason, and red only where ours fails for want of neither memory nor means."""

    def trial(implementation: str) -> Trial:
        if implementation == name:
            raise error
        return Trial(call=lambda: None, gate=green)

    others = {"peer", "flagdit", "third"} - {name}
    run = a_runner()
    run.run([case("it", "flagdit", "peer", "third", trial=trial)])
    assert {row.implementation for row in run.measurements} == others
    (refusal,) = run.refusals
    assert refusal.implementation == name and "no kernel" in refusal.reason and "\n" not in refusal.reason
    assert run.red == refusal.red == red


def a_runner(device: torch.device = CPU, **options) -> Runner:
    """A runner that has all the time and writes nothing."""
    conditions = Conditions(device=device, quick=True)
    return Runner(suite="a", conditions=conditions, folder=None, out_of_time=lambda: False, **options)


def test_budget_and_resume(suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """When the time is spent what there is has been written; resumed, only the rest is measured."""
    calls: list[str] = []

    def timed(name: str) -> Case:
        return case(name, "flagdit", trial=lambda _: Trial(call=lambda: calls.append(name), gate=green))

    first, second = tmp_path / "first", tmp_path / "second"
    wanted = suite(timed("one"), timed("two"))
    assert main([*ON_A_CPU, "--suite", wanted, "--results", str(first), "--only", "^one"]) == 0
    (path,) = first.glob("*.json")
    assert set(calls) == {"one"}
    calls.clear()
    assert main([*ON_A_CPU, "--suite", wanted, "--budget", "0", "--resume", str(path)]) == 0
    assert "1 rows were not begun" in capsys.readouterr().out and not calls
    assert main([*ON_A_CPU, "--suite", wanted, "--results", str(second), "--resume", str(path)]) == 0
    assert set(calls) == {"two"}
    assert [row["name"] for row in read(second)["measurements"]] == ["copy", "matmul", "one", "two"]
    calls.clear()
    capsys.readouterr()
    assert main([*ON_A_CPU, "--suite", wanted, "--results", str(second)]) == 2
    said = capsys.readouterr()
    assert "--resume" in said.err and said.err.count("\n") == 1 and said.out == "" and not calls
    (path,) = second.glob("*.json")
    assert main([*ON_A_CPU, "--suite", wanted, "--results", str(second), f"--resume={path}"]) == 0 and not calls
    assert main([*ON_A_CPU, "--suite", wanted, "--results", str(second), f"--resume={second}"]) == 0 and not calls
    third = f"{tmp_path}/third"
    assert main([*ON_A_CPU, "--suite", wanted, "--results", third, "--resume", third]) == 0 and set(calls) == {
        "one",
        "two",
    }


def test_budget_ends_within_a_case():
    """No row is begun after the time is up, not even of a case that was begun before."""
    calls: list[str] = []
    run = a_runner()
    run.out_of_time = lambda: bool(calls)
    run.run(
        case(name, "flagdit", "peer", trial=lambda _: Trial(call=lambda: calls.append("x"), gate=green))
        for name in "ab"
    )
    assert [row.implementation for row in run.measurements] == ["flagdit"] and run.missed == 3


def test_only_some_implementations(suite, tmp_path: Path):
    """An expression that matches a case takes all of it; one that goes on to the implementation takes that row."""
    it = case("it", "flagdit", "peer", "other", trial=lambda _: Trial(call=int, gate=green))
    for only, names in (("^it 1$", ["flagdit", "peer", "other"]), (", (flagdit|other)$", ["flagdit", "other"])):
        folder = tmp_path / str(len(names))
        assert main([*ON_A_CPU, "--suite", suite(it), "--only", only, "--results", str(folder)]) == 0
        assert [row["implementation"] for row in read(folder)["measurements"] if row["name"] == "it"] == names


def test_what_ends_the_process_is_in_nobodys_way(suite, tmp_path: Path):
    """A row that the process ended in is kept as such, not red, and measured after all others, the latest last."""
    calls: list[str] = []
    killers = ["one", "three"]

    def timed(name: str) -> Case:
        def call() -> None:
            if name in killers:
                raise KeyboardInterrupt  # which, like the end of the process, nothing catches
            calls.append(name)

        return case(
            name, "flagdit", "peer", trial=lambda who: Trial(call=call if who == "flagdit" else int, gate=green)
        )

    words = [*ON_A_CPU, "--suite", suite(*map(timed, ("one", "two", "three", "four"))), "--results", str(tmp_path)]

    def cut_off() -> list[str]:
        with pytest.raises(KeyboardInterrupt):
            main([*words, *(f"--resume={path}" for path in tmp_path.glob("*.json"))])
        refusals = read(tmp_path)["refusals"]
        assert {(row["implementation"], row["reason"], row["red"]) for row in refusals} == {
            ("flagdit", record.CUT_OFF, False)
        }
        return [row["name"] for row in refusals]

    assert cut_off() == ["one"]
    assert cut_off() == ["one", "three"] and set(calls) == {"two"}
    calls.clear()
    assert cut_off() == ["three", "one"] and set(calls) == {"four"}
    calls.clear()
    killers.remove("three")
    assert cut_off() == ["one"] and set(calls) == {"three"}
    killers.clear()
    assert main([*words, f"--resume={next(tmp_path.glob('*.json'))}"]) == 0
    written = read(tmp_path)
    assert written["refusals"] == [] and len(written["measurements"]) == 2 + 2 * 4


def test_a_suite_that_fails_is_red_and_the_next_one_runs(monkeypatch, tmp_path: Path, caplog):
    """What a suite raises ends it alone; what it had is written, and the exit code is 1."""
    module = ModuleType("a_module")

    def broken(conditions: Conditions):
        yield case("one", "flagdit", trial=lambda _: Trial(call=int, gate=green))
        raise RuntimeError("no more cases")

    module.broken = broken  # type: ignore[attr-defined]
    module.good = lambda conditions: [case("two", "flagdit", trial=lambda _: Trial(call=int, gate=green))]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_module", module)
    assert main([*ON_A_CPU, "--suite=a_module:broken", "--suite=a_module:good", "--results", str(tmp_path)]) == 1
    assert "suite broken: RuntimeError: no more cases" in caplog.text
    files = sorted(tmp_path.glob("*.json"), key=lambda path: path.name.split("-")[-2])
    names = [[row["name"] for row in json.loads(path.read_text())["measurements"]] for path in files]
    assert names == [["copy", "matmul", "one"], ["copy", "matmul", "two"]]


@pytest.mark.parametrize("option", ["--only", "--profile"])
def test_nothing_matches(suite, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """An expression that matches no case is an error, and nothing is measured."""
    wanted = suite(case("it", "flagdit", trial=lambda _: Trial(call=int, gate=green)))
    assert main([*ON_A_CPU, "--suite", wanted, option, "nothing", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["device", "versions", "commit"])
def test_only_what_is_comparable_is_resumed(suite, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Rows of another machine, other versions or another commit are not mixed with these."""
    wanted = suite(case("it", "flagdit", trial=lambda _: Trial(call=lambda: None, gate=green)))
    assert main([*ON_A_CPU, "--suite", wanted, "--results", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {what: "another"}))
    assert main([*ON_A_CPU, "--suite", wanted, "--resume", str(path)]) == 2
    assert f"another {what}" in capsys.readouterr().err
    path.write_text("[]")
    assert main([*ON_A_CPU, "--suite", wanted, "--resume", str(path)]) == 2
    assert "is not the JSON of a suite" in capsys.readouterr().err


def test_a_lost_device_ends_the_run(monkeypatch: pytest.MonkeyPatch):
    """An error that the device keeps is not taken for a property of every later row."""

    def lost(device: torch.device) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    def trial(name: str) -> Trial:
        raise UnavailableError("nothing to time")

    monkeypatch.setattr(runner, "synchronize", lost)
    run = a_runner(torch.device("cuda"))
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        run.run([case("one", "flagdit", "peer", trial=trial), case("two", "flagdit", trial=trial)])
    assert [row.implementation for row in run.refusals] == ["flagdit"]


def test_the_run_goes_on_behind_a_lost_device(suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """After what broke the device, of which nothing can be asked any more, a new process does the rest, peers too."""
    calls: list[str] = []
    known = record.describe_machine

    def timed(name: str) -> Case:
        return case(name, "flagdit", trial=lambda _: Trial(call=lambda: calls.append(name), gate=green))

    def breaks(name: str) -> Trial:
        if name == "peer":
            return Trial(call=lambda: calls.append("two, peer"), gate=green)
        monkeypatch.setattr(record, "describe_machine", lost)
        raise RuntimeError("an illegal memory access was encountered")

    def lost(*_: object) -> None:
        raise DeviceLostError("the device is lost")

    def recover(run: Runner) -> None:
        if run.refusals:
            lost()

    started: list[list[str]] = []
    wanted = suite(timed("one"), case("two", "flagdit", "peer", trial=breaks), timed("three"))
    words = [*ON_A_CPU, "--suite", wanted, "--results", str(tmp_path), "--budget", "1000"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "execv", lambda program, words: started.append(words))
        patch.setattr(Runner, "_recover", recover)
        assert main(words) == 1
    assert set(calls) == {"one"}
    ((_, module, name, *again),) = started
    assert (module, name) == ("-m", "flagdit_kernels.bench")
    assert 0 < float(again[-2].removeprefix("--budget=")) < 1000
    monkeypatch.setattr(record, "describe_machine", known)
    calls.clear()
    assert main(again) == 1
    assert set(calls) == {"two, peer", "three"}
    written = read(tmp_path)
    assert [row["name"] for row in written["measurements"]] == ["copy", "matmul", "one", "two", "three"]
    assert [(row["name"], row["red"]) for row in written["refusals"]] == [("two", True)]


def test_profile(monkeypatch: pytest.MonkeyPatch):
    """The kernels that ours launches are in its row, with registers and spills; those of earlier calls are not."""
    metadata = SimpleNamespace(num_warps=8, num_stages=2, shared=1024)
    source = SimpleNamespace(constants={(2,): 128, (1,): "bf16"})
    kernel = SimpleNamespace(metadata=metadata, src=source, n_regs=168, n_spills=4)
    written = SimpleNamespace(__module__="flagdit_kernels.ops.it.triton", __name__="_forward_kernel")
    caches = {0: ({"of an earlier call": kernel}, {}, None, None, None)}
    function = SimpleNamespace(fn=written, arg_names=["X", "dtype", "BLOCK_M"], device_caches=caches)
    monkeypatch.setattr(launches, "_functions", lambda: [function])

    def call() -> None:
        caches.setdefault(0, ({}, {}, None, None, None))[0]["of this call"] = kernel

    run = a_runner(profile=True)
    run.run([case("it", "flagdit", "peer", trial=lambda _: Trial(call=call, gate=green))])
    ours, peer = run.measurements
    assert peer.launches == []
    assert ours.launches == [
        {
            "kernel": "flagdit_kernels.ops.it.triton._forward_kernel",
            "constants": {"BLOCK_M": 128},
            "num_warps": 8,
            "num_stages": 2,
            "registers": 168,
            "spilled_bytes": 4,
            "shared_memory_bytes": 1024,
        }
    ]


def test_a_profile_that_triton_does_not_give(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """A Triton that keeps its kernels elsewhere costs the launches and a line, and not the number."""
    monkeypatch.setattr(launches, "_functions", lambda: [SimpleNamespace()])
    run = a_runner(profile=True)
    run.run([case("it", "flagdit", trial=lambda _: Trial(call=int, gate=green))])
    (ours,) = run.measurements
    assert ours.launches == [] and run.refusals == []
    (line,) = caplog.messages
    assert "without launches: AttributeError" in line and "device_caches" in line


def test_rounds():
    """25 calls where they fit into the time, at least 3 where they do not, one where a call is too long to repeat."""
    plan = Plan(seconds=2.0)
    assert plan.counts(0.01) == (25, 5)
    assert plan.counts(0.2) == (10, 2)
    assert plan.counts(100.0) == (3, 0)
    calls: list[int] = []
    timing = time_call(lambda: calls.append(1), CPU, Plan(rounds=7, warmup_rounds=3))
    assert (timing.rounds, timing.warmup_rounds, len(calls)) == (7, 3, 1 + 3 + 7)
    assert 0 <= timing.fastest <= timing.median and timing.iqr >= 0 and timing.peak_memory is None
    calls.clear()
    assert time_call(lambda: calls.append(1), CPU, ONCE).rounds == len(calls) == 1


@pytest.mark.gpu
def test_on_a_gpu(tmp_path: Path):
    """Every operator passes its gate at tiny sizes, with host time and peak memory in its row."""
    assert main(["--quick", "--suite", "operators", "--profile", ".", "--results", str(tmp_path)]) == 0
    rows = [row for row in read(tmp_path)["measurements"] if row["implementation"] == "flagdit"]
    assert {row["name"] for row in rows} == {*OPERATORS, "copy", "matmul"}
    assert all(row["extra"].keys() == {"host_seconds", "peak_memory_bytes"} for row in rows)
    assert all(row["launches"] for row in rows if row["backend"] == "triton")
