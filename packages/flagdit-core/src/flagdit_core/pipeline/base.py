"""What all pipelines are: parts that are loaded, moved and saved in the same way."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import torch

from flagdit_core.codec import Codec
from flagdit_core.modalities import Modality
from flagdit_core.pipeline.components import Components, load_components
from flagdit_core.pipeline.source import resolve_model


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

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the pipeline, in place.

        Args:
            device: Where to; None leaves it where it is.
            dtype: Precision of the weights; None leaves it.

        Returns:
            The same pipeline.
        """
        self.components.to(device, dtype)
        return self
