"""The authors' text-to-image, ImageNet, audio and music checkpoints as :class:`FlagDiT` (Alpha-VLLM/Lumina-T2X)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.interop import lumina_t2x_files as files
from flagdit_core.interop.lumina_t2x_config import config_from
from flagdit_core.interop.lumina_t2x_keys import KeyReport, convert, key_maps
from flagdit_core.model.checkpoint import load_into
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT

Family = Literal["t2i", "imagenet", "audio", "music"]
FAMILIES = ("t2i", "imagenet", "audio", "music")


def load_model(
    source: Mapping[str, Tensor] | str | Path, *, family: Family, config: Mapping[str, Any] | None = None
) -> FlagDiT:
    """The network of one of the authors' checkpoints, ready for evaluation.

    Args:
        source: Their state dict, a safetensors, ``.pth`` or ``.ckpt`` file, or their folder
            (``consolidated.00-of-01.safetensors`` and ``model_args.pth``; tensor-parallel shards are merged).
        family: Which of their models it is.
        config: The arguments of their constructor; what is left out is read from the shapes of the weights.

    Returns:
        The network in evaluation mode, in the dtype of the weights.

    Raises:
        CheckpointError: The weights are missing, incomplete, left over, of other shapes, or unsafe to read.
        ConfigError: The family is unknown, or the arguments do not determine the network.
    """
    model, report = load_with_report(source, family=family, config=config)
    if not report.complete:
        raise CheckpointError(f"the weights do not fit family {family!r}: {report}".replace("\n", ";"))
    return model


def load_with_report(
    source: Mapping[str, Tensor] | str | Path, *, family: Family | None, config: Mapping[str, Any] | None = None
) -> tuple[FlagDiT, KeyReport]:
    """As :func:`load_model`, with what became of each parameter.

    Args:
        source: As in :func:`load_model`.
        family: As in :func:`load_model`; None tells it from the names of the weights.
        config: As in :func:`load_model`.

    Returns:
        The network, on the meta device if parameters are missing or left over, and the report.

    Raises:
        CheckpointError: The weights cannot be read, or a shape does not fit.
        ConfigError: The family is unknown, or the arguments do not determine the network.
    """
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"unknown family {family!r}; the families are {', '.join(FAMILIES)}")
    shards, arguments = ([dict(source)], {}) if isinstance(source, Mapping) else files.read(Path(source))
    shards = [files.strip_prefix(shard) for shard in shards]
    family = family or _family_of(shards[0])
    audio = family in ("audio", "music")
    ours_config = config_from(shards, family, {**arguments, **(config or {})})
    with torch.device("meta"):
        model = FlagDiT(ours_config)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state_dict, remarks = files.merge(shards, _their_shapes(ours_config, expected, audio=audio))
    ours, report = convert(state_dict, ours_config, expected, audio=audio)
    report.remarks += remarks
    if report.complete:
        load_into(model, ours, source="the converted checkpoint")
    return model.eval(), report


def _family_of(state_dict: Mapping[str, Tensor]) -> Family:
    """The family that has weights of these names; the audio and the music model are one network."""
    if "y_embedder.embedding_table.weight" in state_dict:
        return "imagenet"
    if "proj_in.weight" in state_dict:
        return "audio"
    if "eol_token" in state_dict:
        return "t2i"
    raise CheckpointError(f"these are weights of none of the families {', '.join(FAMILIES)}; they start with "
                          f"{', '.join(sorted(state_dict)[:3])}")  # fmt: skip


def _their_shapes(config: FlagDiTConfig, expected: dict[str, torch.Size], *, audio: bool) -> dict[str, list[int]]:
    """The shape of each of the authors' parameters in one piece."""
    shapes = {}
    for entry in key_maps(config, audio=audio):
        shape = list(expected[entry.ours])
        if entry.rows is not None:
            shape[0] = entry.rows[1] - entry.rows[0]
        shapes[entry.theirs] = shape
    return shapes
