"""The parts of a pipeline, and the folder that holds them: diffusers' format, one sub-folder per part."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

import torch

from flagdit_core.codec import Codec
from flagdit_core.devices import pick_device
from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import atomic_folder
from flagdit_core.pipeline.folder import MODEL_INDEX, check_folder, index_section, read_model_index
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.text_encoder import TextEncoder, TextEncodingConfig


@dataclass(frozen=True, kw_only=True)
class Components:
    """What every modality's pipeline is made of.

    Attributes:
        text_encoder: Prompt to caption features.
        model: The velocity field.
        codec: Media to latents and back.
        sampling: Settings of a call that names none.
        defaults: JSON-ready settings of the modality, such as the size of a picture.
    """

    text_encoder: TextEncoder
    model: FlagDiT
    codec: Codec
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.model.config
        if config.caption_size != self.text_encoder.feature_size:
            raise ConfigError(
                f"the network reads captions of width {config.caption_size}, "
                f"but the text encoder gives {self.text_encoder.feature_size}"
            )
        if config.in_channels != self.codec.latent_channels:
            raise ConfigError(
                f"the network reads latents of {config.in_channels} channels, "
                f"but the codec gives {self.codec.latent_channels}"
            )

    def to(self, device: torch.device | str | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move all parts, in place.

        Args:
            device: Where to; None leaves them where they are. A dtype alone may stand here too, as in PyTorch.
            dtype: Precision of the weights; None leaves it.

        Returns:
            The same components.

        Raises:
            ConfigError: Two dtypes are given, or it is no device's name.
            BackendUnavailableError: The device is not there, or has no float64, as Apple's "mps".
        """
        if isinstance(device, torch.dtype):
            if dtype is not None:
                raise ConfigError(f"expected a device and a dtype, got {device} and {dtype}")
            device, dtype = None, device
        device = None if device is None else pick_device(str(device))
        self.text_encoder.to(device=device, dtype=dtype)
        self.model.to(device=device, dtype=dtype)
        self.codec.to(device=device, dtype=dtype)
        return self

    def save_pretrained(self, folder: Path | str, *, class_name: str) -> None:
        """Write a model folder, whole or not at all.

        Args:
            folder: Must not be there yet.
            class_name: The pipeline's class, by which a folder of another modality is told apart.

        Raises:
            OutputError: The folder is there already, or cannot be written.
        """
        encoder, tokenizer = type(self.text_encoder.model).__name__, type(self.text_encoder.tokenizer).__name__
        index = {
            "_class_name": class_name,
            "_lumina_version": version("flagdit-core"),
            "text_encoder": ["transformers", encoder],
            "tokenizer": ["transformers", tokenizer],
            "transformer": ["flagdit_core", "FlagDiT"],
            "vae": list(self.codec.library_class),
            "text_encoding": self.text_encoder.config.as_dict(),
            "sampling": self.sampling.to_dict(),
            "defaults": dict(self.defaults),
        }
        with atomic_folder(Path(folder).expanduser()) as temporary:
            self.text_encoder.save_pretrained(temporary)
            self.model.save_pretrained(temporary / "transformer")
            self.codec.save_pretrained(temporary / "vae")
            (temporary / MODEL_INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


class CodecLoader(Protocol):
    """Reads a codec's folder in the precision asked for."""

    def __call__(self, folder: Path, /, *, dtype: torch.dtype) -> Codec:
        """The codec that the folder holds."""
        ...


def load_components(
    folder: Path,
    *,
    class_name: str,
    load_codec: CodecLoader,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Components:
    """The parts in a model folder, ready for sampling.

    Args:
        folder: A local model folder.
        class_name: The pipeline class that the folder must hold.
        load_codec: Reads the ``vae`` folder.
        device: Where to put them.
        dtype: Precision of the weights.

    Returns:
        The components.

    Raises:
        CheckpointError: The folder is missing, half-written, of another modality, or a file in it is damaged.
        BackendUnavailableError: The device cannot be used here.
    """
    index = read_model_index(folder, class_name=class_name)
    check_folder(folder, index)
    try:
        text_encoding = TextEncodingConfig.from_dict(index_section(folder, index, "text_encoding"))
        sampling = SamplingSettings.from_dict(index_section(folder, index, "sampling"))
        return Components(
            text_encoder=TextEncoder.from_pretrained(folder, text_encoding, dtype=dtype),
            model=FlagDiT.from_pretrained(folder / "transformer", dtype=dtype),
            codec=load_codec(folder / "vae", dtype=dtype),
            sampling=sampling,
            defaults=index_section(folder, index, "defaults"),
        ).to(device)
    except ConfigError as error:
        raise CheckpointError(f"{folder} cannot be used: {error}") from error


def weights_digest(folder: Path, *, part: str = "transformer") -> str:
    """A fingerprint of one part's weights, the network's by default, to say later which model made a file.

    Args:
        folder: A local model folder.
        part: Its sub-folder.

    Returns:
        SHA-256 over the safetensors files of the part, in the order of their names, in hexadecimal.
    """
    digest = hashlib.sha256()
    for path in sorted((folder / part).glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
