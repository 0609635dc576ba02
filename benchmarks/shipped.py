"""What the shipped models make by default, one for each modality."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from PIL import Image

from flagdit_core.modalities import installed_modalities, load_object
from flagdit_core.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """Something that a command makes.

    Attributes:
        modality: By whose shipped model.
        prompt: Of what.
        file: To write.
        latent: Name of its size, and (C, T, H, W), (C, H, W) or (C, L) of its latent without C.
        check: Raises unless the file holds one.
        quick: Options that make it cheap.
        rounds: Timed calls of the command.
    """

    modality: str
    prompt: str
    file: str
    latent: tuple[str, tuple[int, ...]]
    check: Callable[[Path], None]
    quick: Sequence[str] = ("--steps", "1")
    rounds: int = 5

    @property
    def missing(self) -> str | None:
        """Why it cannot be made here, in a line; None where it can."""
        modality = installed_modalities().get(self.modality)
        if modality is None:
            return f"the modality {self.modality} is not installed"
        whole = (modality.models["nano"] / "model_index.json").is_file()
        return None if whole else f"{modality.distribution} ships no model yet"


@cache
def load(modality: str, model: str, dtype: str) -> Pipeline:
    """The pipeline of a model, read once."""
    pipeline_class = load_object(installed_modalities()[modality].pipeline)
    pipeline: Pipeline = pipeline_class.from_pretrained(model, dtype=getattr(torch, dtype))
    return pipeline


def _picture(path: Path) -> None:
    with Image.open(path) as image:
        assert len(set(image.convert("L").tobytes())) > 1, "the picture is of one colour: no number"


def _film(path: Path) -> None:
    from lumina_video import read_film

    frames = read_film(path).to_numpy()
    assert len(frames) == 8 and frames.std() > 1, "the film is not of 8 frames, or of one colour: no number"


def _object(path: Path) -> None:
    import trimesh

    mesh = trimesh.load_mesh(path)
    assert len(mesh.faces) > 100, "the object has hardly any surface: no number"


def _sound(path: Path) -> None:
    from lumina_audio import read_sound

    samples = read_sound(path).samples
    assert samples.shape[1] > 16_000 and samples.std() > 1e-3, "the sound is short or silent: no number"


ARTIFACTS = (
    Artifact(
        modality="image",
        prompt="a large red circle in the center on a white background",
        file="first.png",
        latent=("picture of 128x128", (16, 16)),
        check=_picture,
    ),
    Artifact(
        modality="video",
        prompt="a large red circle bounces up and down on a white background",
        file="first.mp4",
        latent=("film of 8 frames of 64x64", (8, 8, 8)),
        check=_film,
    ),
    Artifact(
        modality="3d",
        prompt="a large red cube",
        file="first.glb",
        latent=("object in 12 views of 64x64", (12, 8, 8)),
        check=_object,
        quick=("--steps", "8"),  # views of noise show no object, which is an error
        rounds=3,
    ),
    Artifact(
        modality="audio",
        prompt="a high beep",
        file="first.wav",
        latent=("sound of 3.2 s", (50,)),
        check=_sound,
    ),
)
