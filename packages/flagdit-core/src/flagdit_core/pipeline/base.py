"""What all pipelines are: parts that are loaded, moved and saved in the same way."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from flagdit_core.codec import Codec
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality
from flagdit_core.pipeline.arguments import PromptBatch
from flagdit_core.pipeline.components import Components, load_components
from flagdit_core.pipeline.controls import Guide, Known, Region
from flagdit_core.pipeline.generate import check_size, generate_latents
from flagdit_core.pipeline.memory import check_memory, memory_errors
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.pipeline.source import resolve_model
from flagdit_core.pipeline.velocity import Shape
from flagdit_core.report import Report

_SAMPLED_AT_ONCE = 1.2  # times the sides and frames of training


class Pipeline(ABC):
    """From sentences to media. A modality says how its codec is read, and adds the call.

    Args:
        components: Text encoder, network, codec and default settings.
        name: What to call the model in reports.

    Attributes:
        modality: Whose shipped models `from_pretrained` knows by name.
        projected_axes: How many of the last axes of a latent ``projected_flow`` samples smaller first.
    """

    modality: ClassVar[Modality]
    projected_axes: ClassVar[int] = 0

    def __init__(self, components: Components, *, name: str = "") -> None:
        self.components = components
        self.name = name

    @staticmethod
    @abstractmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> Codec:
        """The codec in a model's ``vae`` folder, in the precision asked for."""

    def sample(
        self,
        batch: PromptBatch,
        shape: Shape,
        settings: SamplingSettings,
        *,
        what: str,
        num_bytes: int,
        latents: Tensor | None = None,
        known: Known | None = None,
        regions: Sequence[Region] = (),
        callback_on_step_end: Callable[[Self, int, float, dict[str, Any]], object] | None = None,
        progress: bool | None = None,
        report: Report,
    ) -> Tensor:
        """The latents of a checked call.

        Args:
            batch: N prompts.
            shape: Of each latent.
            settings: How to sample.
            what: What is made, in words, for messages.
            num_bytes: Bytes of the finished media.
            latents: (N, ...) starting points at t = 0, instead of noise from the seeds.
            known: What is given of each of them already; with this, latents or regions there is no ``projected_flow``.
            regions: Further prompts of each of them.
            callback_on_step_end: Called as ``(pipeline, step index, time, {"latents": (N, ...)})`` after each step of
                that shape.
            progress: Show a progress bar; None shows it on a terminal only.
            report: What was used, and every deviation, is noted here.

        Returns:
            (N, ...) float32, at t = 1.

        Raises:
            FlagDiTError: As :func:`generate_latents`.
        """

        def after_step(step: int, t: float, items: list[Tensor]) -> None:
            if callback_on_step_end is not None:
                callback_on_step_end(self, step, t, {"latents": torch.stack(items)})

        count = len(batch)
        check_memory(num_bytes, self.components.model.device, what)
        with memory_errors(what):
            first, guides = Report(strict=report.strict), None  # the second pass says again what this one has to say
            smaller = self._trained_size(shape, settings)
            if smaller is not None and latents is None and known is None and not regions:
                check_size(self.components.model, [shape] * count, settings)
                guides = self._guides(batch, smaller, shape, settings, progress, first)
                report.record(projected_from=list(smaller[1:]))
            final = generate_latents(
                self.components,
                batch.prompts,
                [shape] * count,
                settings,
                seeds=batch.seeds,
                indices=batch.indices,
                negative_prompts=batch.negative_prompts,
                latents=None if latents is None else list(latents),
                known=None if known is None else [known] * count,
                regions=[regions] * count,
                guides=guides,
                callback=after_step,
                progress=progress,
                report=report,
            )
            evaluations = first.settings.get("function_evaluations", 0) + report.settings["function_evaluations"]
            report.record(function_evaluations=evaluations)
            return torch.stack(final)

    def _guides(
        self,
        batch: PromptBatch,
        smaller: Shape,
        shape: Shape,
        settings: SamplingSettings,
        progress: bool | None,
        report: Report,
    ) -> list[Guide]:
        """Samples of the trained size, for larger ones to follow."""
        made = generate_latents(
            self.components,
            batch.prompts,
            [smaller] * len(batch),
            settings,
            seeds=batch.seeds,
            indices=batch.indices,
            negative_prompts=batch.negative_prompts,
            progress=progress,
            report=report,
        )
        return [Guide(values=self.enlarged(latent, shape), cells=smaller[1:]) for latent in made]

    def enlarged(self, latent: Tensor, shape: Shape) -> Tensor:
        """A sample that is larger along its ``projected_axes``: decoded, enlarged as its media are, and encoded.

        Args:
            latent: (C, h, w) or (C, T, h, w), at t = 1.
            shape: What it is to have.

        Returns:
            That, float32, where the latent is.

        Raises:
            NotImplementedError: There are no such axes.
        """
        raise NotImplementedError

    def _trained_size(self, shape: Shape, settings: SamplingSettings) -> Shape | None:
        """The shape with as many frames, and as large an area, as in training; None if it need not be smaller."""
        if not settings.projected_flow:
            return None
        if not self.projected_axes:
            raise ConfigError(f"projected_flow is for media with a height and a width; {type(self).__name__} has none")
        assert settings.training_shape is not None
        (*_, frames, height, width), (most, *trained) = (1, *shape[1:]), settings.training_shape
        scale, patch = math.sqrt(height * width / math.prod(trained)), self.components.model.config.patch_size
        if scale > _SAMPLED_AT_ONCE:
            height, width = (max(1, round(side / scale / patch)) * patch for side in (height, width))
        if self.projected_axes > 2 and frames > _SAMPLED_AT_ONCE * most:
            frames = most
        smaller = (shape[0], *(frames, height, width)[-len(shape[1:]) :])
        return None if smaller == shape else smaller

    @classmethod
    def from_pretrained(
        cls, model: str | Path = "nano", *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Self:
        """The pipeline of a model.

        Args:
            model: A shipped model's name ("nano"), a local folder, or a hub id ``owner/name``.
            device: Where to run.
            dtype: Precision of the weights.

        Returns:
            The pipeline.

        Raises:
            CheckpointError: There is no such model, or its folder is half-written, damaged or of another modality.
            BackendUnavailableError: The device cannot be used here.
        """
        folder = resolve_model(model, cls.modality.models)
        components = load_components(
            folder, class_name=cls.__name__, load_codec=cls.load_codec, device=device, dtype=dtype
        )
        return cls(components, name=str(model))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the pipeline as a model folder, whole or not at all.

        Args:
            folder: Must not be there yet.

        Raises:
            OutputError: The folder is there already, or cannot be written.
        """
        self.components.save_pretrained(folder, class_name=type(self).__name__)

    def to(self, device: torch.device | str | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the pipeline, in place.

        Args:
            device: Where to; None leaves it where it is. A dtype alone may stand here too, as in PyTorch.
            dtype: Precision of the weights; None leaves it.

        Returns:
            The same pipeline.

        Raises:
            ConfigError: Two dtypes are given, or it is no device's name.
            BackendUnavailableError: The device cannot be used here.
        """
        self.components.to(device, dtype)
        return self
