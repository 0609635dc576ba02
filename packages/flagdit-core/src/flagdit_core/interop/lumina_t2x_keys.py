"""The authors' parameter names beside ours (Alpha-VLLM/Lumina-T2X; see docs/parity.md)."""

from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor

from flagdit_core.errors import CheckpointError
from flagdit_core.model.config import FlagDiTConfig

Rows = tuple[int, int] | None
UNNEEDED = {"pad_token": "sequences are packed, so nothing is padded"}


@dataclass(frozen=True, kw_only=True)
class KeyMap:
    """Where one of the authors' parameters goes.

    Attributes:
        theirs: Their name.
        ours: Our name.
        rows: Which rows of ours it fills, or None for all.
        patch_rows: The rows are one patch and change order.
    """

    theirs: str
    ours: str
    rows: Rows = None
    patch_rows: bool = False


@dataclass(kw_only=True)
class KeyReport:
    """What became of each of the authors' parameters.

    Attributes:
        loaded: Their name to ours.
        unneeded: Their names that have no counterpart, and why.
        missing: Their names that were expected and are not there.
        unexpected: Names that no rule explains.
        remarks: Anything else that a user should know, one line each.
    """

    loaded: dict[str, str] = field(default_factory=dict)
    unneeded: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Nothing is missing and nothing is left over."""
        return not self.missing and not self.unexpected

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} loaded, {len(self.unneeded)} not needed, {len(self.missing)} missing, "
                 f"{len(self.unexpected)} unexpected"]  # fmt: skip
        lines += [f"  not needed: {name} ({why})" for name, why in self.unneeded.items()]
        lines += [f"  missing: {name}" for name in self.missing]
        lines += [f"  unexpected: {name}" for name in self.unexpected]
        return "\n".join(lines + [f"  {remark}" for remark in self.remarks])


def key_maps(config: FlagDiTConfig, *, audio: bool) -> list[KeyMap]:
    """Every parameter of a network of this configuration, under the authors' name.

    Args:
        config: Our configuration.
        audio: The audio and music models' names (``blocks``, ``proj_in``) instead of the others'.

    Returns:
        One entry for each of their parameters.
    """
    maps = _pair("proj_in" if audio else "x_embedder", "token_embedder")
    maps += _pair("t_embedder.mlp.0", "timestep_embedder.0") + _pair("t_embedder.mlp.2", "timestep_embedder.2")
    if config.next_line:
        maps.append(KeyMap(theirs="eol_token", ours="next_line"))
    if config.caption_size is not None:
        maps += _pair("cap_embedder.0", "caption_embedder.0") + _pair("cap_embedder.1", "caption_embedder.1")
    if config.num_classes is not None:
        maps.append(KeyMap(theirs="y_embedder.embedding_table.weight", ours="label_embedder.weight"))
    for layer in range(config.depth):
        maps += _block(config, f"{'blocks' if audio else 'layers'}.{layer}.", f"blocks.{layer}.")
    maps += _pair("final_layer.adaLN_modulation.1", "final_layer.modulation")
    maps += [
        KeyMap(theirs=f"final_layer.linear.{kind}", ours=f"final_layer.linear.{kind}", patch_rows=True)
        for kind in ("weight", "bias")
    ]
    return maps


def _pair(theirs: str, ours: str) -> list[KeyMap]:
    """A weight and its bias."""
    return [KeyMap(theirs=f"{theirs}.{kind}", ours=f"{ours}.{kind}") for kind in ("weight", "bias")]


def _block(config: FlagDiTConfig, theirs: str, ours: str) -> list[KeyMap]:
    """The parameters of one block."""
    width, kv, ffn = config.hidden_size, config.num_kv_heads * config.head_dim, config.ffn_hidden_size

    def part(their_name: str, our_name: str, start: int, size: int) -> KeyMap:
        return KeyMap(theirs=theirs + their_name, ours=ours + our_name, rows=(start, start + size))

    maps = [
        part("attention.wq.weight", "attention.qkv.weight", 0, width),
        part("attention.wk.weight", "attention.qkv.weight", width, kv),
        part("attention.wv.weight", "attention.qkv.weight", width + kv, kv),
        part("feed_forward.w1.weight", "feed_forward.gate_up.weight", 0, ffn),
        part("feed_forward.w3.weight", "feed_forward.gate_up.weight", ffn, ffn),
        KeyMap(theirs=theirs + "attention.wo.weight", ours=ours + "attention.out.weight"),
        KeyMap(theirs=theirs + "feed_forward.w2.weight", ours=ours + "feed_forward.down.weight"),
        KeyMap(theirs=theirs + "attention_norm.weight", ours=ours + "attention_norm.weight"),
        KeyMap(theirs=theirs + "ffn_norm.weight", ours=ours + "ffn_norm.weight"),
        *_pair(theirs + "adaLN_modulation.1", ours + "modulation"),
    ]
    if config.qk_norm:
        maps += _pair(theirs + "attention.q_norm", ours + "attention.q_norm")
        maps += _pair(theirs + "attention.k_norm", ours + "attention.k_norm")
    if config.caption_size is not None:
        maps += [
            part("attention.wk_y.weight", "attention.caption_kv.weight", 0, kv),
            part("attention.wv_y.weight", "attention.caption_kv.weight", kv, kv),
            KeyMap(theirs=theirs + "attention.gate", ours=ours + "attention.gate"),
            KeyMap(theirs=theirs + "attention_y_norm.weight", ours=ours + "attention.caption_norm.weight"),
        ]
        if config.qk_norm:
            maps += _pair(theirs + "attention.ky_norm", ours + "attention.caption_k_norm")
    return maps


def convert(
    state_dict: dict[str, Tensor], config: FlagDiTConfig, expected: dict[str, torch.Size], *, audio: bool
) -> tuple[dict[str, Tensor], KeyReport]:
    """Our state dict from the authors'.

    Args:
        state_dict: Their names to tensors.
        config: Our configuration.
        expected: Our names to shapes.
        audio: Whether names are the audio and music models'.

    Returns:
        Our names to tensors (only those that are complete), and what became of each name.

    Raises:
        CheckpointError: A tensor has another shape than the configuration says.
    """
    report, parts = KeyReport(), dict[str, list[Tensor]]()
    maps = key_maps(config, audio=audio)
    for entry in maps:
        if entry.theirs not in state_dict:
            report.missing.append(entry.theirs)
            continue
        tensor, shape = state_dict[entry.theirs], list(expected[entry.ours])
        if entry.rows is not None:
            shape[0] = entry.rows[1] - entry.rows[0]
        if list(tensor.shape) != shape:
            raise CheckpointError(f"{entry.theirs} should have shape {shape}, got {list(tensor.shape)}")
        if entry.patch_rows:
            p = config.patch_size
            tensor = rearrange(tensor, "(p q c) ... -> (c p q) ...", p=p, q=p)
        parts.setdefault(entry.ours, []).append(tensor)
        report.loaded[entry.theirs] = entry.ours
    for name in state_dict.keys() - {entry.theirs for entry in maps}:
        if name in UNNEEDED:
            report.unneeded[name] = UNNEEDED[name]
        else:
            report.unexpected.append(name)
    report.unexpected.sort()
    return {name: tensors[0] if len(tensors) == 1 else torch.cat(tensors) for name, tensors in parts.items()}, report
