"""Train on a folder of pictures with captions, each at its own size and shape."""

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import einops
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from flagdit_core.errors import ConfigError, DataError
from flagdit_core.flow.timesteps import TimestepDistribution
from flagdit_core.output import check_new_folder
from flagdit_core.pipeline import Components
from flagdit_core.training import ExampleSource, FolderDataset, TrainingConfig, read_manifest, train
from lumina_image.pipeline import ImagePipeline

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FolderRecipe:
    """Training of a whole pipeline's network, and of its text encoder if asked, on a folder.

    Attributes:
        data: Folder with ``metadata.jsonl``, a line ``{"file_name": ..., "text": ...}`` for each picture.
        output_dir: Receives checkpoints, scalars and the finished ``model`` folder.
        model: Pipeline to start from: "nano", a folder, or a hub id.
        max_pixels: Larger pictures are scaled down to about this area, keeping their shape.
        on_error: Whether an unreadable picture stops the training or is skipped and named.
        train_text_encoder: Train the text encoder too.
        training: Optimiser, schedule, times and logging.
    """

    data: Path = Path("data")
    output_dir: Path = Path("runs/folder")
    model: str = "nano"
    max_pixels: int = 128 * 128
    on_error: Literal["raise", "skip"] = "raise"
    train_text_encoder: bool = False
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            num_steps=1000,
            batch_size=16,
            learning_rate=2e-4,
            warmup_steps=20,
            ema_decay=0.99,
            precision="bfloat16",
            checkpoint_every=200,
            sample_every=1000,
            timesteps=TimestepDistribution(kind="logit-normal"),
        )
    )


def folder(config: FolderRecipe, *, resume: bool = False) -> Path:
    """Train a pipeline on a folder of pictures and write it as a model folder.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        DataError: The folder, its manifest or a picture cannot be used.
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    check_new_folder(config.output_dir / "model")
    manifest = read_manifest(config.data, on_error=config.on_error)
    pipeline = ImagePipeline.from_pretrained(config.model)
    parts = pipeline.components
    multiple = parts.codec.stride[1] * parts.model.config.patch_size
    if config.max_pixels < multiple**2:
        raise ConfigError(f"max_pixels must be at least {multiple**2}, got {config.max_pixels}")

    def load(path: Path) -> Tensor:
        picture = read_picture(path, multiple=multiple, max_pixels=config.max_pixels)
        latent: Tensor = parts.codec.encode(picture[None])[0]
        return latent

    parts.text_encoder.requires_grad_(config.train_text_encoder)
    dataset = FolderDataset(manifest, load, on_error=config.on_error, cache=True)
    result = train(
        parts.model, parts.text_encoder, ExampleSource(dataset), config.training, config.output_dir, resume=resume
    )
    if not result.finished:
        return result.checkpoint
    with result.ema.applied():
        trained = Components(
            text_encoder=parts.text_encoder.eval(),
            model=parts.model.eval(),
            codec=parts.codec,
            sampling=parts.sampling,
            defaults=parts.defaults,
        )
        ImagePipeline(trained).save_pretrained(config.output_dir / "model")
    return config.output_dir / "model"


def read_picture(path: Path, *, multiple: int, max_pixels: int) -> Tensor:
    """A picture file, whole, scaled to sides that the network can read.

    Args:
        path: Any file that Pillow opens; transparency becomes white.
        multiple: Both sides are scaled to the nearest multiple of this, at least one.
        max_pixels: Larger pictures are scaled down to about this area first.

    Returns:
        (3, H, W) float32 in [-1, 1].

    Raises:
        DataError: The file is not a picture, or is damaged.
    """
    try:
        with Image.open(path) as file:
            rgba = file.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    white = Image.new("RGBA", rgba.size, "white")
    picture = Image.alpha_composite(white, rgba).convert("RGB")
    scale = min(1.0, math.sqrt(max_pixels / (picture.width * picture.height)))
    width, height = (max(1, round(side * scale / multiple)) * multiple for side in picture.size)
    size = (width, height)
    if size != picture.size:
        logger.info("%s: %dx%d scaled to %dx%d", path, *picture.size, *size)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return einops.rearrange(torch.from_numpy(np.array(picture)), "h w c -> c h w").float() / 127.5 - 1
