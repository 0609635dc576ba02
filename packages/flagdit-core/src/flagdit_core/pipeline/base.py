"""What all pipelines are: parts that are loaded, moved and saved in the same way."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from flagdit_core.codec import Codec
from flagdit_core.modalities import Modality
from flagdit_core.pipeline.arguments import PromptBatch
from flagdit_core.pipeline.components import Components, load_components
from flagdit_core.pipeline.controls import Known, Region
from flagdit_core.pipeline.generate import generate_latents
from flagdit_core.pipeline.memory import check_memory, memory_errors
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.pipeline.source import resolve_model
from flagdit_core.pipeline.velocity import Shape
from flagdit_core.report import Report


class Pipeline(ABC):
    """From sentences to media. A modality says how its codec is read, and adds the call.

    Args:
        components: Text encoder, network, codec and default settings.
        name: What to call the model in reports.

    Attributes:
        modality: Whose shipped models `from_pretrained` knows by name.
    """

    modality: ClassVar[Modality]

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
            known: What is given of each of them already.
            regions: Further prompts of each of them.
            callback_on_step_end: Called as ``(pipeline, step index, time, {"latents": (N, ...)})`` after each step.
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
                callback=after_step,
                progress=progress,
                report=report,
            )
            return torch.stack(final)

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
