"""Training state on disk: written atomically, read back bit by bit, as safetensors and JSON only.

A run's folder holds ``checkpoints/step-00001000/`` and ``checkpoints/latest``, a text file with a folder's name that is
replaced last. Whatever moment a process is killed at, ``latest`` names a whole checkpoint.
"""

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from flagdit_core.errors import CheckpointError
from flagdit_core.training.ema import Ema
from flagdit_core.training.processes import ALONE, Processes, spread_like, whole

_FORMAT = 1
_WRITING, _REMOVING = ".writing-", ".removing-"
_MOMENTS = {torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"}, torch.optim.Muon: {"momentum_buffer"}}
"""What optimizers keep of a parameter."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything that a resumed run needs, by reference.

    Attributes:
        parameters: Of all networks, by name, trained or not.
        buffers: Likewise.
        optimizers: Over those that are trained, each by one of them.
        ema: Over the same.
    """

    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]
    optimizers: tuple[torch.optim.Optimizer, ...]
    ema: Ema

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of each file, by name; they share memory with the state."""
        return {
            "weights": {**self.parameters, **self.buffers},
            "ema": self.ema.average,
            "optimizer": {
                f"{name}/{key}": value
                for name, parameter in self.parameters.items()
                for optimizer in self.optimizers
                for key, value in optimizer.state.get(parameter, {}).items()
            },
        }


def save_checkpoint(
    run_dir: Path,
    step: int,
    state: TrainingState,
    *,
    settings: Mapping[str, Any],
    keep: int,
    processes: Processes = ALONE,
) -> Path:
    """Write the state after ``step`` updates, make it the latest, and remove all but the last ``keep``.

    A checkpoint holds whole tensors, however many processes there are: any other number of them can go on from it.

    Args:
        run_dir: The run's folder.
        step: Updates made so far.
        state: What to write.
        settings: JSON-ready training settings, kept for the reader.
        keep: Checkpoints to keep, at least 1.
        processes: Those that hold the state, all of which save it; the first one writes.

    Returns:
        The checkpoint's folder.
    """
    files = (
        (file, {key: whole(tensor.detach()).contiguous() for key, tensor in tensors.items()})
        for file, tensors in state.tensors().items()
    )
    if processes.is_first:
        _write(run_dir, step, files, settings, keep)
    else:
        deque(files, maxlen=0)
    processes.wait()
    return run_dir / "checkpoints" / _name(step)


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _write(
    run_dir: Path, step: int, files: Iterable[tuple[str, dict[str, Tensor]]], settings: Mapping[str, Any], keep: int
) -> None:
    """Write a checkpoint, its files by name."""
    root = run_dir / "checkpoints"
    root.mkdir(parents=True, exist_ok=True)
    for leftover in (*root.glob(f"{_WRITING}*"), *root.glob(f"{_REMOVING}*")):
        shutil.rmtree(leftover)
    name = _name(step)
    temporary, final = root / f"{_WRITING}{name}", root / name
    temporary.mkdir()
    for file, tensors in files:
        path = temporary / f"{file}.safetensors"
        save_file(tensors, path)
        _sync(path)
    _write_text(temporary / "state.json", json.dumps({"format": _FORMAT, "step": step, "settings": settings}, indent=2))
    _sync(temporary)
    if final.exists():  # a whole checkpoint that a killed run wrote but did not live to call the latest
        _remove(final)
    temporary.rename(final)
    _write_text(root / ".latest", name)
    (root / ".latest").replace(root / "latest")
    _sync(root)
    for old in sorted(root.glob("step-*"))[:-keep]:
        if old != final:
            _remove(old)


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest whole checkpoint of a run.

    Args:
        run_dir: The run's folder.

    Returns:
        Its folder, or None if the run has none yet.

    Raises:
        CheckpointError: ``latest`` names a checkpoint that is not there.
    """
    pointer = run_dir / "checkpoints" / "latest"
    if not pointer.is_file():
        return None
    folder = pointer.parent / pointer.read_text(encoding="utf-8").strip()
    if not (folder / "state.json").is_file():
        raise CheckpointError(f"{pointer} names {folder.name}, which is missing: write an older folder's name into it")
    return folder


def load_checkpoint(folder: Path, state: TrainingState) -> int:
    """Read a checkpoint into the state, in place; moments of another optimizer are left out.

    Args:
        folder: The checkpoint's folder.
        state: Of the same networks; overwritten.

    Returns:
        Updates made when it was written.

    Raises:
        CheckpointError: A file is missing or damaged, or belongs to other networks.
    """
    step = read_state(folder)["step"]
    parameters = state.parameters
    _copy(_read_tensors(folder / "weights.safetensors"), {**parameters, **state.buffers}, folder)
    _copy(_read_tensors(folder / "ema.safetensors"), state.ema.average, folder)
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in _read_tensors(folder / "optimizer.safetensors").items():
        name, _, kind = key.rpartition("/")
        moments.setdefault(name, {})[kind] = value
    if odd := moments.keys() - state.ema.average.keys():
        raise CheckpointError(f"{folder} is of other networks: it trained {min(odd)}, this run does not")
    owner = {p: opt for opt in state.optimizers for group in opt.param_groups for p in group["params"]}
    for name, values in moments.items():
        parameter = parameters[name]
        optimizer = owner[parameter]
        if values.keys() != _MOMENTS[type(optimizer)]:
            continue  # the other optimizer's, of which this one makes nothing: it begins anew
        optimizer.state[parameter] = {
            # a step counter, which is never spread, is where fused AdamW keeps it: beside the parameter
            kind: spread_like(value, parameter) if value.shape == parameter.shape else value.to(parameter.device)
            for kind, value in values.items()
        }
    return int(step)


def load_averaged_weights(folder: Path, networks: Mapping[str, nn.Module]) -> int:
    """Read only the averaged weights of a checkpoint, for sampling.

    Args:
        folder: The checkpoint's folder.
        networks: ``{"model": ..., "text_encoder": ...}`` as they were trained; weights that were frozen are read too.

    Returns:
        Updates made when it was written.

    Raises:
        CheckpointError: A file is missing or damaged, or belongs to other networks.
    """
    step = read_state(folder)["step"]
    modules = nn.ModuleDict(dict(networks))
    weights = {**dict(modules.named_parameters()), **dict(modules.named_buffers())}
    values = {**_read_tensors(folder / "weights.safetensors"), **_read_tensors(folder / "ema.safetensors")}
    _copy(values, weights, folder)
    return int(step)


@torch.no_grad()
def _copy(values: dict[str, Tensor], targets: dict[str, Tensor], folder: Path) -> None:
    if values.keys() != targets.keys():
        odd = min(values.keys() ^ targets.keys())
        raise CheckpointError(f"{folder} is of other networks: only one of the two has {odd}")
    for name, target in targets.items():
        if values[name].shape != target.shape:
            raise CheckpointError(
                f"{folder} is of other networks: {name} is {tuple(values[name].shape)}, expected {tuple(target.shape)}"
            )
        target.copy_(spread_like(values[name], target))


def read_state(folder: Path) -> dict[str, Any]:
    """The checkpoint's ``state.json``: format, step and settings.

    Args:
        folder: The checkpoint's folder.

    Returns:
        The mapping.

    Raises:
        CheckpointError: It is missing, damaged or of another format.
    """
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"expected a checkpoint in {folder}, cannot read its state.json: {error}") from error
    if state.get("format") != _FORMAT:
        raise CheckpointError(f"{folder} has checkpoint format {state.get('format')}, this version reads {_FORMAT}")
    return dict(state)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is missing or damaged ({error}): point `latest` to an older one") from error


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _sync(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, survive a power cut."""
    if os.name == "nt":  # where folders, and files that are only read, cannot be synced
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Rename first, so that a half-removed folder never looks like a checkpoint."""
    doomed = folder.with_name(f"{_REMOVING}{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed)
