"""The network and the text encoder that a recipe trains, before their first update."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.modalities import installed_modalities
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.pipeline import read_model_index, resolve_model
from flagdit_core.pipeline.folder import index_section
from flagdit_core.text_encoder import TextEncoder, TextEncodingConfig
from flagdit_core.text_encoder.small import build_small_text_encoder
from flagdit_core.training import TrainingConfig

Describe = Callable[[np.random.Generator], str]
"""A caption of a world."""


@dataclass(frozen=True, kw_only=True)
class TextEncoderRecipe:
    """The text encoder that is trained together with the network.

    Attributes:
        vocab_size: Of its byte-level BPE tokenizer, learnt from the world's captions.
        num_layers: LLaMA blocks.
        num_heads: Attention heads.
        max_tokens: Longest prompt.
        captions: Captions that the tokenizer is learnt from.
    """

    vocab_size: int = 512
    num_layers: int = 2
    num_heads: int = 4
    max_tokens: int = 96
    captions: int = 20_000


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """What recipes of a network and its text encoder have in common.

    Attributes:
        output_dir: Receives the encoded media, checkpoints, scalars, samples, and the finished ``model`` folder.
        model: The network.
        text_encoder: The text encoder; its width is the network's ``caption_size``.
        start_from: Model whose network and text encoder the training begins with, whatever its modality: a shipped one
            as ``<modality>/<name>``, a folder, or a hub id; None begins with random ones. Its network has the form of
            ``model``, but for ``rope_row_stride``: where patches stand can be learnt anew.
        training: Optimiser, schedule, times and logging.
        device: Where to train, such as "cpu" or "cuda:1"; by default a GPU if there is one.
        workers: Processes that encode.
        num_threads: CPU threads of the training.
        sampled_prompts: Held-out prompts made and verified at every sample.

    Raises:
        ConfigError: A number is below 1, or the network would not predict velocities.
    """

    output_dir: Path
    model: FlagDiTConfig
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    start_from: str | None = None
    training: TrainingConfig
    device: str | None = None
    workers: int = 2
    num_threads: int = 1
    sampled_prompts: int = 64

    def __post_init__(self) -> None:
        self.training.check_for_pipelines()
        for name in ("workers", "num_threads", "sampled_prompts"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")


Recipe = TypeVar("Recipe", bound=NetworkRecipe)


def shrunk(recipe: Recipe) -> Recipe:
    """A recipe of the same code, from nothing, that is over in a minute and too small to learn much.

    Args:
        recipe: Of a small model.

    Returns:
        The same with a very small network and text encoder; its stages and its training are still to be shortened.
    """
    network = replace(
        recipe.model,
        hidden_size=64,
        depth=3,
        num_heads=2,
        num_kv_heads=2,
        ffn_hidden_size=192,
        conditioning_size=64,
        caption_size=64,
    )
    text_encoder = TextEncoderRecipe(num_layers=1, captions=500)
    training = replace(recipe.training, ema_decay=0.9, log_every=10, checkpoint_every=50)
    return replace(recipe, model=network, text_encoder=text_encoder, training=training, start_from=None, workers=1)


def first_networks(config: NetworkRecipe, describe: Describe) -> tuple[FlagDiT, TextEncoder]:
    """Network and text encoder before the first update.

    Args:
        config: The recipe.
        describe: A caption of the world, for the tokenizer of a new text encoder.

    Returns:
        Both in float32, the recipe's form, and ready to be trained.

    Raises:
        CheckpointError: There is no model ``start_from``.
        ConfigError: Its network has another form, or the recipe's takes no captions.
    """
    if config.start_from is not None:
        return _started_from(config, config.start_from)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        model = FlagDiT(config.model)
    return model, build_text_encoder(config, describe)


def _started_from(config: NetworkRecipe, name: str) -> tuple[FlagDiT, TextEncoder]:
    """Those of another model, whose network must have the recipe's form."""
    folder = model_folder(name)
    rules = TextEncodingConfig.from_dict(index_section(folder, read_model_index(folder), "text_encoding"))
    stored = FlagDiT.from_pretrained(folder / "transformer", dtype=torch.float32)
    if replace(stored.config, rope_row_stride=config.model.rope_row_stride) != config.model:
        raise ConfigError(f"start_from={name!r} has the network {stored.config}, the recipe {config.model}")
    with torch.device("meta"):
        model = FlagDiT(config.model)
    model.load_state_dict(stored.state_dict(), assign=True)
    return model, TextEncoder.from_pretrained(folder, rules, dtype=torch.float32).requires_grad_(True)


def model_folder(name: str) -> Path:
    """The folder of a model that a training begins with, whatever its modality.

    Args:
        name: A shipped model such as "image/nano", a folder, or a hub id ``owner/name``.

    Returns:
        A folder that exists.

    Raises:
        CheckpointError: There is no such model.
    """
    modalities = installed_modalities().values()
    shipped = {f"{entry.name}/{model}": path for entry in modalities for model, path in entry.models.items()}
    return resolve_model(name, shipped)


def build_text_encoder(config: NetworkRecipe, describe: Describe) -> TextEncoder:
    """The untrained text encoder, its tokenizer learnt from the world's captions.

    Args:
        config: The recipe.
        describe: A caption of the world.

    Returns:
        The encoder.

    Raises:
        ConfigError: The network takes no captions.
    """
    settings, width = config.text_encoder, config.model.caption_size
    if width is None:
        raise ConfigError("the nano recipe trains on captions: model.caption_size must be set")
    generator = np.random.default_rng(0)  # a run that is resumed with another seed still reads the same tokens
    return build_small_text_encoder(
        [describe(generator) for _ in range(settings.captions)],
        vocab_size=settings.vocab_size,
        hidden_size=width,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        max_tokens=settings.max_tokens,
        seed=config.training.seed,
    )
