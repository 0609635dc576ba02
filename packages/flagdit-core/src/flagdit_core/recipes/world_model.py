"""A small pipeline trained on a procedural world from nothing: the recipe of every shipped model."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.evaluation import evaluate
from flagdit_core.flow.timesteps import TimestepDistribution
from flagdit_core.modalities import Modality, installed_modalities, load_object
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import check_new_folder
from flagdit_core.pipeline import (
    Components,
    Pipeline,
    SamplingSettings,
    read_model_index,
    resolve_model,
    weights_digest,
)
from flagdit_core.pipeline.folder import index_section
from flagdit_core.pipeline.request import GenerationRequest
from flagdit_core.recipes.encoded import Encode, EncodedWorld, Stage, encode_shards, stage_at, wanted_shards
from flagdit_core.text_encoder import TextEncoder, TextEncodingConfig
from flagdit_core.text_encoder.small import build_small_text_encoder
from flagdit_core.training import TrainingConfig, train

NANO_TRAINING = TrainingConfig(
    num_steps=1,
    batch_size=64,
    optimizer="muon",
    learning_rate=2e-3,
    muon_learning_rate=4e-3,
    betas=(0.9, 0.98),
    gate_learning_rate_multiplier=10.0,
    warmup_steps=200,
    decay="cosine",
    final_learning_rate_fraction=0.02,
    max_grad_norm=1.0,
    ema_decay=0.998,
    precision="bfloat16",
    prefetch_batches=2,
    timesteps=TimestepDistribution(kind="logit-normal", mean=-0.3, std=1.2),
)
"""What the recipes of all small models have in common; each says at least how many steps it takes."""


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
class WorldRecipe:
    """Everything that decides the trained model.

    Attributes:
        output_dir: Receives the encoded media, checkpoints, scalars, samples, and the finished ``model`` folder.
        codec: Folder of the codec.
        model: The network.
        text_encoder: The text encoder; its width is the network's ``caption_size``.
        start_from: Model whose network and text encoder the training begins with, whatever its modality: a shipped one
            as ``<modality>/<name>``, a folder, or a hub id; None begins with random ones.
        stages: Curriculum over kinds of media.
        training: Optimiser, schedule, times and logging; its ``num_steps`` is the sum of the stages'.
        sampling: Defaults of the finished model.
        workers: Processes that encode.
        num_threads: CPU threads of the training.
        sampled_prompts: Held-out prompts made and verified at every sample.
    """

    output_dir: Path
    codec: Path
    model: FlagDiTConfig
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    start_from: str | None = None
    stages: tuple[Stage, ...]
    training: TrainingConfig
    sampling: SamplingSettings
    workers: int = 2
    num_threads: int = 1
    sampled_prompts: int = 64

    def __post_init__(self) -> None:
        steps = sum(stage.steps for stage in self.stages)
        if steps != self.training.num_steps:
            raise ConfigError(
                f"training.num_steps must be the sum of the stages' steps, {steps}, got {self.training.num_steps}"
            )


def shrunk(recipe: WorldRecipe) -> WorldRecipe:
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


def train_world_model(
    config: WorldRecipe,
    modality: Modality,
    *,
    encode: Encode,
    describe: Callable[[np.random.Generator], str],
    resume: bool = False,
) -> Path:
    """Train a small model and write it as a pipeline folder.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        modality: Whose pipeline and world are used.
        encode: Makes media of a kind and encodes them.
        describe: A caption of the world, for the tokenizer.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    check_new_folder(config.output_dir / "model")
    torch.set_num_threads(config.num_threads)
    # Latents of another codec are of no use: its fingerprint names their folder.
    fingerprint = weights_digest(config.codec.parent, part=config.codec.name)[:12]
    encoded, seed = config.output_dir / "encoded" / fingerprint, config.training.seed
    encode_shards(wanted_shards(config.stages, seed=seed), encode, config.codec, encoded, workers=config.workers)
    model, text_encoder = _beginning(config, describe)
    pipeline_class: type[Pipeline] = load_object(modality.pipeline)

    def pipeline(step: int, model: FlagDiT, text_encoder: TextEncoder, dtype: torch.dtype) -> Pipeline:
        components = Components(
            text_encoder=text_encoder,
            model=model,
            codec=pipeline_class.load_codec(config.codec, dtype=dtype),
            sampling=config.sampling,
            defaults=stage_at(config.stages, step - 1).parts[0].kind.defaults,
        )
        return pipeline_class(components)

    def sample(step: int, model: FlagDiT, text_encoder: TextEncoder | None, folder: Path) -> None:
        assert text_encoder is not None
        made = pipeline(step, model, text_encoder, torch.float32)
        make_and_verify(made, modality, step, folder, prompts=config.sampled_prompts)

    source = EncodedWorld(config.stages, encoded, seed=seed)
    result = train(model, text_encoder, source, config.training, config.output_dir, resume=resume, sample=sample)
    if not result.finished:
        return result.checkpoint
    with result.ema.applied():
        half = torch.bfloat16
        pipeline(result.step, model.eval().to(half), text_encoder.eval().to(half), half).save_pretrained(
            config.output_dir / "model"
        )
    return config.output_dir / "model"


def _beginning(config: WorldRecipe, describe: Callable[[np.random.Generator], str]) -> tuple[FlagDiT, TextEncoder]:
    """Network and text encoder before the first update, in float32."""
    if config.start_from is not None:
        return _started_from(config, config.start_from)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        model = FlagDiT(config.model)
    return model, build_text_encoder(config, describe)


def _started_from(config: WorldRecipe, name: str) -> tuple[FlagDiT, TextEncoder]:
    """Those of another model, whose network must have the recipe's form."""
    modalities = installed_modalities().values()
    shipped = {f"{entry.name}/{model}": path for entry in modalities for model, path in entry.models.items()}
    folder = resolve_model(name, shipped)
    rules = TextEncodingConfig.from_dict(index_section(folder, read_model_index(folder), "text_encoding"))
    model = FlagDiT.from_pretrained(folder / "transformer", dtype=torch.float32)
    if model.config != config.model:
        raise ConfigError(f"start_from={name!r} has the network {model.config}, the recipe {config.model}")
    return model, TextEncoder.from_pretrained(folder, rules, dtype=torch.float32).requires_grad_(True)


def build_text_encoder(config: WorldRecipe, describe: Callable[[np.random.Generator], str]) -> TextEncoder:
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
    generator = np.random.default_rng(config.training.seed)
    return build_small_text_encoder(
        [describe(generator) for _ in range(settings.captions)],
        vocab_size=settings.vocab_size,
        hidden_size=width,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        max_tokens=settings.max_tokens,
        seed=config.training.seed,
    )


def make_and_verify(pipeline: Pipeline, modality: Modality, step: int, folder: Path, *, prompts: int) -> None:
    """Make held-out prompts, show them in one picture, and append the verifier's pass rates to ``verified.csv``.

    Args:
        pipeline: What makes them.
        modality: Of the pipeline; it has a world.
        step: Of the training, for the names.
        folder: Receives ``step-<step>.png``, where the modality has contact sheets, and ``verified.csv``.
        prompts: How many.
    """
    assert modality.world is not None
    generate, artifacts = load_object(modality.generate), list[Any]()

    def make(texts: Sequence[str], seeds: Sequence[int]) -> Sequence[Any]:
        request = GenerationRequest(prompts=texts, seeds=seeds, settings=pipeline.components.sampling, progress=False)
        made: Sequence[Any] = generate(pipeline, request).artifacts
        return made

    world = load_object(modality.world)(None)
    evaluation = evaluate(make, world, count=prompts, seed=0, on_batch=artifacts.extend)
    if modality.contact_sheet is not None:
        load_object(modality.contact_sheet)(artifacts, folder / f"step-{step:06d}.png")
    rows = []
    for category, checks in evaluation.by_category_and_check.items():
        rates: Mapping[str, Any] = {"all": evaluation.by_category[category], **checks}
        rows += [(step, category, kind, rate.passed, rate.total) for kind, rate in rates.items()]
    path = folder / "verified.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("step", "category", "check", "passed", "of"))
        writer.writerows(rows)
