"""A folder of weights: ``config.json`` and one or more safetensors files. Nothing is ever unpickled."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flagdit_core.errors import CheckpointError

STEM = "diffusion_pytorch_model"
CONFIG = "config.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def save(state_dict: dict[str, Tensor], config: dict[str, Any], folder: str | Path, *, max_shard_size: str) -> None:
    """Write a configuration and weights.

    Args:
        state_dict: The weights.
        config: JSON-ready settings.
        folder: Made if missing.
        max_shard_size: Largest file, as in ``"5GB"``.
    """
    from huggingface_hub import save_torch_state_dict

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"_class_name": "FlagDiT", **config}, indent=2) + "\n", encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    save_torch_state_dict(
        weights, folder, filename_pattern=STEM + "{suffix}.safetensors", max_shard_size=max_shard_size
    )


def read_config(folder: str | Path) -> dict[str, Any]:
    """The settings in ``config.json``.

    Args:
        folder: A model folder.

    Returns:
        The mapping.

    Raises:
        CheckpointError: The folder or the file is missing or is not JSON.
    """
    path = Path(folder) / CONFIG
    if not Path(folder).is_dir():
        raise CheckpointError(f"expected a model folder, but {folder} does not exist or is not a folder")
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {CONFIG}: it is not a model folder, or only part of one was copied")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} must hold a JSON object, got a {type(values).__name__}")
    return values


def read_state_dict(folder: str | Path) -> dict[str, Tensor]:
    """All tensors of a folder, shards merged.

    Args:
        folder: A folder with one safetensors file, or with shards and their index.

    Returns:
        Name to tensor, on the CPU.

    Raises:
        CheckpointError: A file is missing, truncated, a git-lfs pointer or a pickle.
    """
    folder = Path(folder)
    single, index = folder / f"{STEM}.safetensors", folder / f"{STEM}.safetensors.index.json"
    if single.is_file():
        return read_safetensors(single)
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} is not a safetensors index ({error!r}); copy it again") from error
        if unsafe := [name for name in names if Path(name).name != name]:
            raise CheckpointError(f"{index} names a file outside its folder: {unsafe[0]}")
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise CheckpointError(f"{folder} lacks the shard {missing[0]}, one of {len(names)}; copy the folder again")
        return {key: tensor for name in names for key, tensor in read_safetensors(folder / name).items()}
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{folder} holds pickled weights ({pickles[0]}), which can run code and are not loaded; "
            "convert them with: lumina convert"
        )
    raise CheckpointError(f"{folder} has no {single.name}: the weights are missing")


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file.

    Args:
        path: The file.

    Returns:
        Name to tensor, on the CPU.

    Raises:
        CheckpointError: The file is truncated, a git-lfs pointer, or not safetensors.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a git-lfs pointer, not the weights; run: git lfs pull")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file ({error}); copy it again") from error


def load_into(model: nn.Module, state_dict: dict[str, Tensor], *, source: str) -> None:
    """Give a model on the meta device its weights.

    Args:
        model: Its parameters are replaced.
        state_dict: One tensor for each parameter.
        source: Named in errors.

    Raises:
        CheckpointError: A tensor is missing, left over, or of another shape.
    """
    expected = model.state_dict()
    missing, unexpected = sorted(expected.keys() - state_dict.keys()), sorted(state_dict.keys() - expected.keys())
    if missing or unexpected:
        raise CheckpointError(
            f"{source} does not fit its configuration: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {unexpected[:3]}"
        )
    for name, tensor in state_dict.items():
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                f"{source}: {name} should have shape {tuple(expected[name].shape)}, got {tuple(tensor.shape)}"
            )
    model.load_state_dict(state_dict, assign=True)
