"""Checkpoints on disk: atomic, whole, and refused when they do not fit."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from flagdit_core.errors import CheckpointError
from flagdit_core.training.checkpoint import (
    TrainingState,
    latest_checkpoint,
    load_averaged_weights,
    load_checkpoint,
    save_checkpoint,
)
from flagdit_core.training.ema import Ema

KILLED_WHILE_SAVING = """
import os, shutil, signal, sys
from pathlib import Path
import torch
from torch import nn
from flagdit_core.training.checkpoint import TrainingState, latest_checkpoint, load_checkpoint, save_checkpoint
from flagdit_core.training.ema import Ema

torch.set_num_threads(1)
root = Path(sys.argv[1])
module = nn.Linear(4, 4)
optimizer = torch.optim.AdamW(module.parameters())
state = TrainingState(parameters=dict(module.named_parameters()), buffers={}, optimizers=(optimizer,),
                      ema=Ema(module.named_parameters(), 0.9))

def update(value):
    module.weight.data.fill_(value)
    module.weight.grad, module.bias.grad = torch.ones(4, 4), torch.ones(4)
    optimizer.step()
    module.weight.data.fill_(value)

update(1.0)
save_checkpoint(root / "first", 1, state, settings={}, keep=1)
update(2.0)
def dying_at(moment, calls, function):
    def counted(*arguments):
        calls.append(function)
        if len(calls) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return counted

for moment in range(1, 100):
    run_dir = root / str(moment)
    shutil.copytree(root / "first", run_dir)
    child = os.fork()
    if child == 0:
        calls = []
        os.fsync = dying_at(moment, calls, os.fsync)
        Path.rename = dying_at(moment, calls, Path.rename)
        Path.replace = dying_at(moment, calls, Path.replace)
        save_checkpoint(run_dir, 2, state, settings={}, keep=1)
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    step = load_checkpoint(latest_checkpoint(run_dir), state)
    assert module.weight.data.eq(float(step)).all(), (moment, step)
    update(2.0)
    save_checkpoint(run_dir, 2, state, settings={}, keep=1)
    assert latest_checkpoint(run_dir).name == "step-00000002"
    left = sorted(path.name for path in (run_dir / "checkpoints").iterdir())
    assert left == ["latest", "step-00000002"], left
    print(step)
    if not killed:
        break
"""


def _state(width: int = 4) -> tuple[nn.Module, TrainingState]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width))
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    ema = Ema(module.named_parameters(), 0.9)
    for step in range(2):
        module(torch.randn(8, width)).square().sum().backward()
        optimizer.step()
        ema.update(step)
    state = TrainingState(
        parameters=dict(module.named_parameters()),
        buffers=dict(module.named_buffers()),
        optimizers=(optimizer,),
        ema=ema,
    )
    return module, state


def test_everything_comes_back_bit_by_bit(tmp_path: Path) -> None:
    """Weights, buffers, average and both moments of every parameter are restored exactly into fresh objects."""
    _, state = _state()
    folder = save_checkpoint(tmp_path, 2, state, settings={"seed": 1}, keep=1)
    _, other = _state()
    for tensors in other.tensors().values():
        for tensor in tensors.values():
            tensor.detach().fill_(7)
    assert load_checkpoint(folder, other) == 2
    for file, tensors in state.tensors().items():
        assert tensors.keys() == other.tensors()[file].keys()
        for name, tensor in tensors.items():
            assert torch.equal(tensor, other.tensors()[file][name]), (file, name)


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """After SIGKILL before any sync or renaming, the old or the new checkpoint is there as a whole.

    Saving again works then, and cleans up.
    """
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SAVING, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = [int(line) for line in done.stdout.split()]
    assert len(steps) >= 11  # seven syncs (four files, the pointer, two folders), three renamings, and one not killed
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 2)


def test_windows_is_not_asked_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, folders cannot be opened, and what is open for reading alone cannot be synced."""
    monkeypatch.setattr("flagdit_core.training.checkpoint.os", SimpleNamespace(name="nt"))
    _, state = _state()
    folder = save_checkpoint(tmp_path, 3, state, settings={}, keep=1)
    assert latest_checkpoint(tmp_path) == folder


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """With keep=2 the last two remain, and the pointer names the newest."""
    _, state = _state()
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, state, settings={}, keep=2)
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("step-*")) == ["step-00000010", "step-00000015"]
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoints" / "step-00000015"
    assert latest_checkpoint(tmp_path / "elsewhere") is None


def test_averaged_weights_alone(tmp_path: Path) -> None:
    """Sampling from a checkpoint gets the average where there is one, and the other weights and buffers as they are."""
    module, _ = _state()
    module[0].bias.requires_grad_(False)
    networks = nn.ModuleDict({"model": module})
    state = TrainingState(
        parameters=dict(networks.named_parameters()),
        buffers=dict(networks.named_buffers()),
        optimizers=(torch.optim.AdamW(module.parameters()),),
        ema=Ema(networks.named_parameters(), 0.9),
    )
    state.ema.average["model.0.weight"].fill_(3.0)
    folder = save_checkpoint(tmp_path, 9, state, settings={}, keep=1)
    fresh = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    assert load_averaged_weights(folder, {"model": fresh}) == 9
    assert fresh[0].weight.eq(3.0).all()
    assert torch.equal(fresh[0].bias, module[0].bias)
    assert torch.equal(fresh[1].running_mean, module[1].running_mean)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Other shapes, other parameters, a truncated file, a lost file and a foreign format each get an error of ours."""
    _, state = _state()
    folder = save_checkpoint(tmp_path, 2, state, settings={}, keep=1)
    with pytest.raises(CheckpointError, match=r"0.weight is \(4, 4\), expected \(5, 5\)"):
        load_checkpoint(folder, _state(5)[1])
    _, fewer = _state()
    del fewer.parameters["0.bias"]
    with pytest.raises(CheckpointError, match=r"only one of the two has 0\.bias"):
        load_checkpoint(folder, fewer)
    optimizer = folder / "optimizer.safetensors"
    optimizer.write_bytes(optimizer.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors is missing or damaged"):
        load_checkpoint(folder, state)
    values = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(values | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(folder, state)
    (folder / "state.json").unlink()
    with pytest.raises(CheckpointError, match="step-00000002, which is missing"):
        latest_checkpoint(tmp_path)


def test_nothing_is_pickled(tmp_path: Path) -> None:
    """A checkpoint is safetensors and JSON, nothing else."""
    _, state = _state()
    folder = save_checkpoint(tmp_path, 2, state, settings={}, keep=1)
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json"}
