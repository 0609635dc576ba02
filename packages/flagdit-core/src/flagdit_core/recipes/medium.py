"""What a modality brings to a training on its world: encoded media, and pipelines to sample with and to save."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from flagdit_core.evaluation import evaluate
from flagdit_core.modalities import Modality, load_object
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import atomic_file
from flagdit_core.pipeline import Components, Pipeline, SamplingSettings, weights_digest
from flagdit_core.pipeline.request import GenerationRequest
from flagdit_core.recipes.encoded import Encode, EncodedWorld, Stage, encode_shards, stage_at, wanted_shards
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import TrainingResult
from flagdit_core.training.processes import ALONE, Processes

_COLUMNS = ("step", "category", "check", "passed", "of")


@dataclass(frozen=True, kw_only=True)
class Medium:
    """A modality, as the training of a network on its world sees it.

    Attributes:
        modality: Whose pipeline and world are used.
        encode: Makes media of a kind and encodes them.
        codec: Folder of the codec.
        stages: Curriculum over kinds of media.
        sampling: Defaults of the finished model.
    """

    modality: Modality
    encode: Encode
    codec: Path
    stages: tuple[Stage, ...]
    sampling: SamplingSettings

    def encoded(self, folder: Path, *, seed: int, workers: int, processes: Processes = ALONE) -> EncodedWorld:
        """The batches to learn from, after encoding what is not there yet.

        Args:
            folder: Where encoded media are kept, in a folder named by the codec's fingerprint.
            seed: Of the scenes.
            workers: Processes that encode, for each of those that train.
            processes: Those that train, which share the work.

        Returns:
            The source of batches.
        """
        folder = folder / _fingerprint(self.codec)  # latents of another codec are of no use
        shards = wanted_shards(self.stages, seed=seed)
        encode_shards(shards, self.encode, self.codec, folder, workers=workers, processes=processes)
        return EncodedWorld(self.stages, folder, seed=seed)

    def pipeline(self, step: int, model: FlagDiT, text_encoder: TextEncoder, *, dtype: torch.dtype) -> Pipeline:
        """The pipeline around networks in training.

        Args:
            step: Updates made; their stage's first kind of media gives the default size.
            model: The network.
            text_encoder: The text encoder.
            dtype: Of the codec.

        Returns:
            What makes media with them.
        """
        pipeline_class: type[Pipeline] = load_object(self.modality.pipeline)
        return pipeline_class(
            Components(
                text_encoder=text_encoder,
                model=model,
                codec=pipeline_class.load_codec(self.codec, dtype=dtype),
                sampling=self.sampling,
                defaults=stage_at(self.stages, step - 1).parts[0].kind.defaults,
            ).to(model.device)
        )


def _fingerprint(codec: Path) -> str:
    """A name for a codec's weights and configuration, which holds the scale of its latents."""
    weights = weights_digest(codec.parent, part=codec.name)
    return hashlib.sha256(weights.encode() + (codec / "config.json").read_bytes()).hexdigest()[:12]


def save_models(result: TrainingResult, media: Mapping[Path, Medium]) -> None:
    """Write the averaged networks of a training as pipeline folders, in bfloat16, into which they are converted.

    Of several processes, the first one writes.

    Args:
        result: What the training left.
        media: Folder, which must not be there yet, to what its pipeline makes.

    Raises:
        OutputError: A folder is there already, or cannot be written.
    """
    if not result.is_first:
        return
    assert result.text_encoder is not None
    half = torch.bfloat16
    with result.ema.applied():
        model, text_encoder = result.model.eval().to(half), result.text_encoder.eval().to(half)
        for folder, medium in media.items():
            medium.pipeline(result.step, model, text_encoder, dtype=half).save_pretrained(folder)


def make_and_verify(pipeline: Pipeline, modality: Modality, step: int, folder: Path, *, prompts: int) -> None:
    """Make held-out prompts, show them in one picture, and append the verifier's pass rates to ``verified.csv``.

    Rows of this step and later ones, from a run that was killed and goes on from a step before, are replaced.

    Args:
        pipeline: What makes them.
        modality: Of the pipeline; it has a world.
        step: Of the training, for the names.
        folder: Receives ``step-<step>.png``, where the modality has contact sheets, and ``verified.csv``.
        prompts: How many.
    """
    assert modality.world is not None
    generate, artifacts = load_object(modality.generate), list[Any]()
    request = GenerationRequest(prompts=(), settings=pipeline.components.sampling, progress=False)
    world = load_object(modality.world)(pipeline, request)

    def make(texts: Sequence[str], seeds: Sequence[int]) -> Sequence[Any]:
        made: Sequence[Any] = generate(pipeline, replace(request, prompts=texts, seeds=seeds)).artifacts
        return made

    evaluation = evaluate(make, world, count=prompts, seed=0, on_batch=artifacts.extend)
    if modality.contact_sheet is not None:
        load_object(modality.contact_sheet)(artifacts, folder / f"step-{step:06d}.png")
    rows = list[list[str]]()
    for category, checks in evaluation.by_category_and_check.items():
        rates: Mapping[str, Any] = {"all": evaluation.by_category[category], **checks}
        rows += [[category, kind, str(rate.passed), str(rate.total)] for kind, rate in rates.items()]
    append_rows(folder / "verified.csv", _COLUMNS, step, rows)


def append_rows(path: Path, columns: Sequence[str], step: int, rows: Sequence[Sequence[str]]) -> None:
    """Add a step's rows to a table, in place of those of this step and later ones.

    Args:
        path: The table, a CSV file; it need not be there.
        columns: Names of its columns, of which the first is the step.
        step: Of the rows.
        rows: What stands in the other columns.
    """
    before = list[list[str]]()
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            before = [row for row in list(csv.reader(file))[1:] if int(row[0]) < step]
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *before, *([str(step), *row] for row in rows)])
