"""The recipe of the shipped model: a small Flag-DiT and its text encoder, trained on the picture world from nothing."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flagdit_core.contact_sheet import save_contact_sheet
from flagdit_core.errors import ConfigError
from flagdit_core.evaluation import evaluate
from flagdit_core.flow.timesteps import TimestepDistribution
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import check_new_folder
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Components, SamplingSettings, weights_digest
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.text_encoder.small import build_small_text_encoder
from flagdit_core.training import TrainingConfig, train
from lumina_image.modality import MODALITY
from lumina_image.pipeline import ImagePipeline
from lumina_image.recipes.encoded_world import EncodedWorld, PictureSize, Stage, encode_shards, stage_at, wanted_shards
from lumina_image.world import PictureWorld, describe, sample_scene

_SMALL = (PictureSize(width=64, height=64),)
_SQUARE = (PictureSize(width=128, height=128),)
_ANY_ASPECT = (
    PictureSize(width=128, height=128, share=0.76),
    PictureSize(width=128, height=96, share=0.06),
    PictureSize(width=96, height=128, share=0.06),
    PictureSize(width=160, height=96, share=0.06),
    PictureSize(width=96, height=160, share=0.06),
)
_ONE_OBJECT = (1.0, 0.0, 0.0)


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
class NanoRecipe:
    """Everything that decides the trained model.

    Attributes:
        output_dir: Receives the encoded pictures, checkpoints, scalars, samples, and the finished ``model`` folder.
        vae: Folder of the VAE; the shipped model's by default.
        model: The network.
        text_encoder: The text encoder; its width is the network's ``caption_size``.
        stages: Curriculum over the pictures' sizes and numbers of objects.
        training: Optimiser, schedule, times and logging; its ``num_steps`` is the sum of the stages'.
        sampling: Defaults of the finished model.
        workers: Processes that encode.
        num_threads: CPU threads of the training.
        sampled_prompts: Held-out prompts drawn and verified at every sample.
    """

    output_dir: Path = Path("runs/nano")
    vae: Path = field(default_factory=lambda: MODALITY.models["nano"] / "vae")
    model: FlagDiTConfig = field(default_factory=lambda: FlagDiTConfig.preset("nano"))
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    stages: tuple[Stage, ...] = (
        Stage(steps=3000, weights=_ONE_OBJECT, sizes=_SMALL, pictures=30_000),
        Stage(steps=850, weights=_ONE_OBJECT, sizes=_ANY_ASPECT, pictures=16_000),
        Stage(steps=700, weights=_ONE_OBJECT, sizes=_SQUARE, pictures=12_000),
        Stage(steps=1200, weights=(0.45, 0.4, 0.15), sizes=_SQUARE, pictures=9_000),
    )
    training: TrainingConfig = TrainingConfig(
        num_steps=5750,
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
        sample_every=500,
        checkpoint_every=250,
        timesteps=TimestepDistribution(kind="logit-normal", mean=-0.3, std=1.2),
    )
    sampling: SamplingSettings = SamplingSettings(
        num_inference_steps=24,
        guidance_scale=4.0,
        rope_scaling_factor="auto",
        training_shape=(1, 16, 16),
    )
    workers: int = 2
    num_threads: int = 1
    sampled_prompts: int = 64

    def __post_init__(self) -> None:
        if sum(stage.steps for stage in self.stages) != self.training.num_steps:
            raise ConfigError(
                f"training.num_steps must be the sum of the stages' steps, "
                f"{sum(stage.steps for stage in self.stages)}, got {self.training.num_steps}"
            )


def nano(config: NanoRecipe, *, resume: bool = False) -> Path:
    """Train the nano model and write it as a pipeline folder.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    check_new_folder(config.output_dir / "model")
    torch.set_num_threads(config.num_threads)
    # Latents of another VAE are of no use: its fingerprint names their folder.
    fingerprint = weights_digest(config.vae.parent, part=config.vae.name)[:12]
    encoded, seed = config.output_dir / "encoded" / fingerprint, config.training.seed
    encode_shards(wanted_shards(config.stages, seed=seed), config.vae, encoded, workers=config.workers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FlagDiT(config.model)
    text_encoder = build_text_encoder(config)
    source = EncodedWorld(config.stages, encoded, seed=seed)
    codec = PictureCodec.from_pretrained(config.vae)

    def defaults(step: int) -> dict[str, int]:
        size = stage_at(config.stages, step).sizes[0]
        return {"width": size.width, "height": size.height}

    def sample(step: int, model: FlagDiT, text_encoder: TextEncoder | None, folder: Path) -> None:
        assert text_encoder is not None
        components = Components(
            text_encoder=text_encoder, model=model, codec=codec, sampling=config.sampling, defaults=defaults(step - 1)
        )
        draw_and_verify(ImagePipeline(components), step, folder, prompts=config.sampled_prompts)

    result = train(model, text_encoder, source, config.training, config.output_dir, resume=resume, sample=sample)
    if not result.finished:
        return result.checkpoint
    with result.ema.applied():
        components = Components(
            text_encoder=text_encoder.eval().to(torch.bfloat16),
            model=model.eval().to(torch.bfloat16),
            codec=PictureCodec.from_pretrained(config.vae, dtype=torch.bfloat16),
            sampling=config.sampling,
            defaults=defaults(result.step),
        )
        ImagePipeline(components).save_pretrained(config.output_dir / "model")
    return config.output_dir / "model"


def build_text_encoder(config: NanoRecipe) -> TextEncoder:
    """The untrained text encoder, its tokenizer learnt from the world's captions.

    Args:
        config: The recipe.

    Returns:
        The encoder.

    Raises:
        ConfigError: The network takes no captions.
    """
    settings, width = config.text_encoder, config.model.caption_size
    if width is None:
        raise ConfigError("the nano recipe trains on captions: model.caption_size must be set")
    generator = np.random.default_rng(config.training.seed)
    scenes = (sample_scene(generator, split="any") for _ in range(settings.captions))
    return build_small_text_encoder(
        [describe(scene, generator) for scene in scenes],
        vocab_size=settings.vocab_size,
        hidden_size=width,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        max_tokens=settings.max_tokens,
        seed=config.training.seed,
    )


def draw_and_verify(pipeline: ImagePipeline, step: int, folder: Path, *, prompts: int) -> None:
    """Draw held-out prompts, write them as one picture, and append the verifier's pass rates to ``verified.csv``.

    Args:
        pipeline: What draws.
        step: Of the training, for the names.
        folder: Receives ``step-<step>.png`` and ``verified.csv``.
        prompts: How many.
    """
    images: list[Image.Image] = []

    def generate(texts: Sequence[str], seeds: Sequence[int]) -> Sequence[Image.Image]:
        drawn = pipeline(texts, seed=seeds).images
        assert isinstance(drawn, list)
        return drawn

    evaluation = evaluate(generate, PictureWorld(), count=prompts, seed=0, on_batch=images.extend)
    save_contact_sheet(images, folder / f"step-{step:06d}.png")
    rows = []
    for category, checks in evaluation.by_category_and_check.items():
        rates = {"all": evaluation.by_category[category], **checks}
        rows += [(step, category, kind, rate.passed, rate.total) for kind, rate in rates.items()]
    path = folder / "verified.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("step", "category", "check", "passed", "of"))
        writer.writerows(rows)
