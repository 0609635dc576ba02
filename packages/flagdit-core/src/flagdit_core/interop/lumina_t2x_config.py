"""Our configuration from the authors' constructor arguments, completed from the shapes of the weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.model.config import FlagDiTConfig, feed_forward_size

# The functions that build the published sizes: width, layers, heads.
PUBLISHED = {
    "DiT_Llama_600M_patch2": (1536, 16, 32),
    "DiT_Llama_3B_patch2": (3072, 32, 32),
    "DiT_Llama_5B_patch2": (3072, 32, 32),
    "DiT_Llama_7B_patch2": (4096, 32, 32),
}
_IMAGE_ARGUMENTS = {
    "fn", "model", "patch_size", "in_channels", "dim", "n_layers", "n_heads", "n_kv_heads", "multiple_of",
    "ffn_dim_multiplier", "norm_eps", "learn_sigma", "qk_norm", "cap_feat_dim", "rope_scaling_factor", "ntk_factor",
    "input_size", "num_classes", "class_dropout_prob", "max_seq_len",
}  # fmt: skip
_AUDIO_ARGUMENTS = {"in_channels", "context_dim", "hidden_size", "depth", "num_heads", "max_len", "num_kv_heads",
                    "multiple_of", "ffn_dim_multiplier", "norm_eps", "qk_norm"}  # fmt: skip


def config_from(shards: Sequence[Mapping[str, Tensor]], family: str, arguments: Mapping[str, Any]) -> FlagDiTConfig:
    """Our configuration of one of the authors' models.

    Args:
        shards: Their state dict, or one for each tensor-parallel rank.
        family: ``t2i``, ``imagenet``, ``audio`` or ``music``.
        arguments: What is known of their constructor's arguments.

    Returns:
        The configuration.

    Raises:
        ConfigError: An argument is unknown, or the number of heads cannot be told.
        CheckpointError: The weights are not of this family.
    """
    audio = family in ("audio", "music")
    known = _AUDIO_ARGUMENTS if audio else _IMAGE_ARGUMENTS
    if unknown := sorted(set(arguments) - known):
        raise ConfigError(f"unknown constructor arguments for family {family!r}: {', '.join(unknown)}")
    given = {key: value for key, value in arguments.items() if value is not None}
    return _audio(shards, given) if audio else _image(shards, family, given)


def _shape(shards: Sequence[Mapping[str, Tensor]], name: str) -> tuple[int, ...]:
    """Shape of one parameter in the first shard."""
    if name not in shards[0]:
        raise CheckpointError(f"expected a parameter {name!r}; are these weights of another family?")
    return tuple(shards[0][name].shape)


def _depth(shards: Sequence[Mapping[str, Tensor]], prefix: str) -> int:
    """Number of blocks."""
    numbers = {int(name.split(".")[1]) for name in shards[0] if name.startswith(prefix)}
    if not numbers:
        raise CheckpointError(f"expected parameters {prefix}*; are these weights of another family?")
    return max(numbers) + 1


def _image(shards: Sequence[Mapping[str, Tensor]], family: str, given: Mapping[str, Any]) -> FlagDiTConfig:
    """Text-to-image and ImageNet models."""
    name = given.get("fn", given.get("model"))
    if name is not None and name not in PUBLISHED:
        raise ConfigError(f"unknown model {name!r}; known are {', '.join(PUBLISHED)}")
    _, _, published_heads = PUBLISHED[name] if name is not None else (None, None, None)
    ranks = len(shards)
    width = _shape(shards, "layers.0.attention_norm.weight")[0]
    gates = _shape(shards, "layers.0.attention.gate")[0] * ranks if family == "t2i" else None
    heads = given.get("n_heads", published_heads or gates)
    if heads is None:
        raise ConfigError("the number of heads is not in the weights: pass config={'n_heads': ...}")
    channels = given.get("in_channels", 4)
    patch_values = _shape(shards, "x_embedder.weight")[1]
    patch = given.get("patch_size", math.isqrt(patch_values // channels))
    theirs_ffn = feed_forward_size(
        width, multiple_of=given.get("multiple_of", 256), multiplier=given.get("ffn_dim_multiplier")
    )
    ffn = theirs_ffn if "multiple_of" in given else _shape(shards, "layers.0.feed_forward.w1.weight")[0] * ranks
    outputs = _shape(shards, "final_layer.linear.weight")[0]
    kv_width = _shape(shards, "layers.0.attention.wk.weight")[0] * ranks
    text = family == "t2i"
    return FlagDiTConfig(
        in_channels=channels,
        patch_size=patch,
        hidden_size=given.get("dim", width),
        depth=given.get("n_layers", _depth(shards, "layers.")),
        num_heads=heads,
        num_kv_heads=given.get("n_kv_heads", kv_width * heads // width),
        ffn_hidden_size=ffn,
        conditioning_size=min(width, 1024),
        caption_size=given.get("cap_feat_dim", _shape(shards, "cap_embedder.0.weight")[0]) if text else None,
        num_classes=None if text else _shape(shards, "y_embedder.embedding_table.weight")[0] - 1,
        next_line=text,
        next_frame="never",
        qk_norm=given.get("qk_norm", "layers.0.attention.q_norm.weight" in shards[0]),
        learn_sigma=given.get("learn_sigma", outputs * ranks >= 2 * patch_values or outputs >= 2 * patch_values),
        norm_eps=given.get("norm_eps", 1e-5),
        rope_theta=10000.0 * given.get("ntk_factor", 1.0),
        rope_scaling_factor=float(given.get("rope_scaling_factor", 1.0)),
    )


def _audio(shards: Sequence[Mapping[str, Tensor]], given: Mapping[str, Any]) -> FlagDiTConfig:
    """Audio and music models: one token for each latent frame, integer timesteps, full-width conditioning."""
    width, channels = _shape(shards, "proj_in.weight")
    heads = given.get("num_heads", _shape(shards, "blocks.0.attention.gate")[0])
    kv_width = _shape(shards, "blocks.0.attention.wk.weight")[0]
    return FlagDiTConfig(
        in_channels=given.get("in_channels", channels),
        patch_size=1,
        hidden_size=given.get("hidden_size", width),
        depth=given.get("depth", _depth(shards, "blocks.")),
        num_heads=heads,
        num_kv_heads=given.get("num_kv_heads", kv_width * heads // width),
        ffn_hidden_size=_shape(shards, "blocks.0.feed_forward.w1.weight")[0],
        conditioning_size=width,
        caption_size=given.get("context_dim", _shape(shards, "cap_embedder.0.weight")[0]),
        next_line=False,
        next_frame="never",
        qk_norm=given.get("qk_norm", "blocks.0.attention.q_norm.weight" in shards[0]),
        norm_eps=given.get("norm_eps", 1e-5),
        discrete_timesteps=1000,
    )
