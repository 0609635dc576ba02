"""The authors' files: read without unpickling code, and merged when they are tensor-parallel shards."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flagdit_core.errors import CheckpointError
from flagdit_core.model.checkpoint import read_safetensors

_SHARD = re.compile(r"consolidated(_ema)?\.(\d+)-of-(\d+)\.(safetensors|pth)")
_PREFIX = "model.diffusion_model."
_ARGUMENTS = ("model", "qk_norm")
_PER_RANK = ("q_norm.", "k_norm.", "ky_norm.")


def read(source: Path) -> tuple[list[dict[str, Tensor]], dict[str, Any]]:
    """The weights of a file or folder, one mapping for each tensor-parallel rank, and what is known of the model.

    Args:
        source: A weights file, or the authors' folder.

    Returns:
        State dicts, and constructor arguments from ``model_args.pth``.

    Raises:
        CheckpointError: Something is missing, truncated, or would run code.
    """
    if source.is_file():
        return [_read_weights(source)], {}
    if not source.is_dir():
        raise CheckpointError(f"expected a weights file or folder, but {source} does not exist")
    found = {match: path for path in sorted(source.iterdir()) if (match := _SHARD.fullmatch(path.name))}
    if not found:
        raise CheckpointError(f"{source} has no consolidated*.safetensors or consolidated*.pth")
    groups: dict[tuple[str, str, str], dict[int, Path]] = {}
    for match, path in found.items():
        groups.setdefault((match[1] or "", match[4], match[3]), {})[int(match[2])] = path
    # Plain weights before averaged ones, safetensors before .pth: the order in which the groups sort.
    key = min(groups, key=lambda group: (group[0] != "", group[1] != "safetensors"))
    ranks, count = groups[key], int(key[2])
    if missing := sorted(set(range(count)) - ranks.keys()):
        raise CheckpointError(f"{source} lacks shard {missing[0]} of {count}; copy the folder again")
    arguments = source / "model_args.pth"
    return [_read_weights(ranks[rank]) for rank in range(count)], _read_arguments(arguments)


def strip_prefix(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The diffusion network's own parameters of a Lightning checkpoint; other state dicts as they are."""
    inner = {name.removeprefix(_PREFIX): tensor for name, tensor in state_dict.items() if name.startswith(_PREFIX)}
    return inner or dict(state_dict)


def merge(
    shards: Sequence[Mapping[str, Tensor]], shapes: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Tensor], list[str]]:
    """One state dict from tensor-parallel shards.

    A parameter whose shards already have the whole shape was replicated; any other is joined along the one dimension
    in which it is short.

    Args:
        shards: One state dict for each rank.
        shapes: The whole shape of each parameter.

    Returns:
        The state dict, and remarks for the key report.

    Raises:
        CheckpointError: Shards have other parameters, or do not add up to the whole shape.
    """
    if len(shards) == 1:
        return dict(shards[0]), []
    if any(shard.keys() != shards[0].keys() for shard in shards):
        raise CheckpointError(f"the {len(shards)} shards do not hold the same parameters")
    merged = {}
    for name, first in shards[0].items():
        pieces = [shard[name] for shard in shards]
        whole = list(shapes.get(name, first.shape))
        short = [dim for dim, size in enumerate(first.shape) if dim >= len(whole) or size != whole[dim]]
        if len(short) > 1 or len(whole) != first.ndim:
            raise CheckpointError(f"{name}: cannot join shards of shape {list(first.shape)} into {whole}")
        merged[name] = torch.cat(pieces, dim=short[0]) if short else first
    remark = (
        f"joined {len(shards)} tensor-parallel shards; in training the query and key norms took their statistics "
        "within each shard, here over the full width, so outputs differ from the sharded model's"
    )
    return merged, [remark] if any(part in name for name in merged for part in _PER_RANK) else []


def _read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors or torch file, never running code from it."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    content = _load_plain(path, [])
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} does not hold a state dict of tensors")
    return content


def _read_arguments(path: Path) -> dict[str, Any]:
    """The constructor arguments that the authors' demo reads from ``model_args.pth``, if it is there."""
    if not path.is_file():
        return {}
    namespace = _load_plain(path, [argparse.Namespace])
    if not isinstance(namespace, argparse.Namespace):
        raise CheckpointError(f"{path} should hold an argparse.Namespace, got a {type(namespace).__name__}")
    return {name: getattr(namespace, name) for name in _ARGUMENTS if hasattr(namespace, name)}


def _load_plain(path: Path, allowed: Sequence[type]) -> object:
    """Content of a torch file, tensors and plain values only."""
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch reports a refused pickle, a truncated zip and a text file by different exceptions.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} cannot be read safely as weights: {reason}") from error
