"""Training of a whole pipeline on a folder of files with captions, whatever their medium."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from flagdit_core.devices import pick_device
from flagdit_core.errors import ConfigError
from flagdit_core.flow.timesteps import TimestepDistribution
from flagdit_core.output import check_new_folder
from flagdit_core.pipeline import Components, Pipeline
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import Entry, ExampleSource, FolderDataset, TrainingConfig, read_manifest, train
from flagdit_core.training.manifest import OnError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FolderTraining(ABC):
    """What recipes on folders have in common; a modality's own one says how its files are read.

    Attributes:
        data: Folder with ``metadata.jsonl``, a line ``{"file_name": ..., "text": ...}`` for each file.
        output_dir: Receives checkpoints, scalars and the finished ``model`` folder.
        model: Pipeline to start from: "nano", a folder, or a hub id.
        on_error: Whether an unreadable file stops the training or is skipped and named.
        train_text_encoder: Train the text encoder too.
        device: Where to train, such as "cpu" or "cuda:1"; by default a GPU if there is one.
        training: Optimiser, schedule, times and logging.

    Raises:
        ConfigError: The network would not predict velocities.
    """

    data: Path = Path("data")
    output_dir: Path = Path("runs/folder")
    model: str = "nano"
    on_error: OnError = "raise"
    train_text_encoder: bool = False
    device: str | None = None
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

    def __post_init__(self) -> None:
        self.training.check_for_pipelines()

    @abstractmethod
    def loader(self, components: Components) -> Callable[[Path], Tensor]:
        """What reads a file as a latent of the codec; it raises DataError or CodecError for one that it cannot read.

        Args:
            components: Of the pipeline that is trained.

        Returns:
            File to latent (C, ...).

        Raises:
            ConfigError: The model cannot read files as the recipe wants them.
        """

    def caption(self, text: str, components: Components) -> str:
        """A caption as the network reads it: as it stands in the manifest, where a modality says nothing else.

        Args:
            text: What stands there.
            components: Of the pipeline that is trained.

        Returns:
            What the text encoder gets.
        """
        return text


def train_on_folder(config: FolderTraining, pipeline_class: type[Pipeline], *, resume: bool = False) -> Path:
    """Train a pipeline on a folder of files and write it as a model folder.

    Args:
        config: The recipe.
        pipeline_class: Of the modality.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        DataError: The folder, its manifest or a file cannot be used.
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    check_new_folder(config.output_dir / "model")
    manifest = read_manifest(config.data, on_error=config.on_error)
    parts = pipeline_class.from_pretrained(config.model, device=pick_device(config.device)).components
    parts.text_encoder.requires_grad_(config.train_text_encoder)
    entries = [replace(entry, caption=config.caption(entry.caption, parts)) for entry in manifest.entries]
    _say_what_is_cut(entries, parts.text_encoder)
    spelled = replace(manifest, entries=entries)
    source = ExampleSource(FolderDataset(spelled, config.loader(parts), on_error=config.on_error, cache=True))
    result = train(parts.model, parts.text_encoder, source, config.training, config.output_dir, resume=resume)
    if not result.finished:
        return result.checkpoint
    if not result.is_first:
        return config.output_dir / "model"
    with result.ema.applied():
        trained = Components(
            text_encoder=parts.text_encoder.eval(),
            model=parts.model.eval(),
            codec=parts.codec,
            sampling=parts.sampling,
            defaults=parts.defaults,
        )
        pipeline_class(trained).save_pretrained(config.output_dir / "model")
    return config.output_dir / "model"


def _say_what_is_cut(entries: Sequence[Entry], text_encoder: TextEncoder) -> None:
    """Name the files whose captions have more tokens than are read."""
    for entry in entries:
        (dropped,) = text_encoder.tokenize([entry.caption]).dropped
        if dropped:
            most = text_encoder.config.max_tokens
            logger.warning("%s: the last %d tokens of its caption are not read, past %d", entry.path, dropped, most)


def pixel_multiple(components: Components, max_pixels: int) -> int:
    """What the sides of pictures and frames must be multiples of.

    Args:
        components: Whose network and codec decide.
        max_pixels: Largest area that a recipe asks for.

    Returns:
        The codec's stride times the patch size.

    Raises:
        ConfigError: The area holds no such square.
    """
    multiple = components.codec.stride[1] * components.model.config.patch_size
    if max_pixels < multiple**2:
        raise ConfigError(f"max_pixels must be at least {multiple**2}, got {max_pixels}")
    return multiple
