"""A tiny pipeline of a made-up modality ("toy"), so that what core shares is tested without any real one."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Self

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from flagdit_core import modalities
from flagdit_core.errors import ShapeError
from flagdit_core.modalities import Modality, Option
from flagdit_core.output import atomic_file
from flagdit_core.pipeline import Components, Pipeline, generate_latents
from flagdit_core.pipeline.request import Generated, GenerationRequest
from flagdit_core.report import Report
from flagdit_core.testing import random_components
from flagdit_core.world import Check, Prompt, Verdict

CHANNELS = 4


@dataclass
class ToyCodec:
    """Media are latents, moved into [0, 1]."""

    latent_channels: int = CHANNELS
    stride: tuple[int, int, int] = (1, 1, 1)
    scale: float = 1.0
    shift: float = 0.0
    library_class: tuple[str, str] = ("toys", "ToyCodec")

    def encode(self, media: Tensor) -> Tensor:
        """The latents."""
        return media

    def decode(self, latents: Tensor) -> Tensor:
        """The media."""
        return latents.sigmoid()

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Nothing to move."""
        return self

    def save_pretrained(self, folder: Path) -> None:
        """A folder that looks like any component's."""
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        save_file({"nothing": torch.zeros(1)}, folder / "model.safetensors")


class ToyPipeline(Pipeline):
    """The least that the command line asks of a pipeline."""

    modality = Modality(
        name="toy", distribution="lumina-toy", endings=(".toy",), pipeline="", generate="", save="", read_metadata=""
    )

    @staticmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> ToyCodec:
        """A codec without weights."""
        return ToyCodec()


def generate_toys(pipeline: ToyPipeline, request: GenerationRequest) -> Generated:
    """Latents as lists of numbers."""
    width, height = request.size or (8, 8)
    report = Report(strict=request.strict)
    prompts = [text for text in request.prompts for _ in range(request.count)]
    seeds = list(request.seeds or [0] * len(request.prompts))
    report.record(prompts=prompts, negative_prompts=[request.negative_prompt] * len(prompts))
    latents = generate_latents(
        pipeline.components,
        prompts,
        [(CHANNELS, height, width)] * len(prompts),
        request.settings,
        seeds=[seed for seed in seeds for _ in range(request.count)],
        indices=[request.first + number for _ in request.prompts for number in range(request.count)],
        report=report,
    )
    return Generated.of([latent.flatten().tolist() for latent in latents], report, latents=torch.stack(latents))


def save_toy(artifact: list[float], path: Path, metadata: dict[str, object]) -> None:
    """Numbers and settings as JSON."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps({"numbers": artifact, "metadata": metadata}))


def read_toy(path: Path) -> object:
    """The settings of a toy file."""
    return json.loads(path.read_text())["metadata"]


class ToyWorld:
    """Even prompts pass, odd ones fail their second check."""

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Numbered prompts in two categories."""
        return [Prompt(text=f"toy {number}", category="even" if number % 2 == 0 else "odd") for number in range(count)]

    def verify(self, artifact: object, prompt: str) -> Verdict:
        """The number's parity is the second check."""
        even = int(prompt.split()[1]) % 2 == 0
        return Verdict(
            checks=(
                Check(kind="color", expected="red", found="red", passed=True),
                Check(kind="shape", expected="ring", found="ring" if even else "disc", passed=even),
            )
        )


def toy_world(pipeline: ToyPipeline, request: GenerationRequest) -> ToyWorld:
    """The world for toys of less than a hundred numbers a side."""
    if request.size is not None and max(request.size) > 99:
        raise ShapeError("a toy that large cannot be judged")
    return ToyWorld()


@pytest.fixture(scope="session")
def components() -> Components:
    """Tiny random parts; the network's weights are large enough for prompts to matter."""
    return random_components(ToyCodec(), ["a red circle"], training_shape=(1, 8, 8), guidance_scale=4.0, spread=0.2)


@pytest.fixture(scope="session")
def saved_model(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny parts as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "toy"
    components.save_pretrained(folder, class_name="ToyPipeline")
    return folder


@pytest.fixture
def toy_modality(saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modality]:
    """The only modality installed: it writes ``.toy`` files."""
    module = ModuleType("toys")
    for part in (ToyPipeline, toy_world, generate_toys, save_toy, read_toy):
        setattr(module, part.__name__, part)
    monkeypatch.setitem(sys.modules, "toys", module)
    modality = Modality(
        name="toy",
        distribution="lumina-toy",
        endings=(".toy",),
        pipeline="toys:ToyPipeline",
        generate="toys:generate_toys",
        save="toys:save_toy",
        read_metadata="toys:read_toy",
        options=(
            Option(name="loops", kind=int, help="how often it goes round"),
            Option(name="beside", kind=Path, help="file to write too"),
        ),
        models={"nano": saved_model},
        world="toys:toy_world",
        companions=(".toybox",),
    )
    for name in ("modalities", "cli.recipes", "cli.models", "cli.info", "recipes.networks"):
        monkeypatch.setattr(
            importlib.import_module(f"flagdit_core.{name}"), "installed_modalities", lambda: {"toy": modality}
        )
    assert modalities.installed_modalities() == {"toy": modality}
    yield modality
