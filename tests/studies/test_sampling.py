"""The driver of the sampling study: what a cell costs and counts, and which cells are made again."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.modalities import installed_modalities
from flagdit_core.pipeline import generate_latents, read_model_index
from flagdit_core.pipeline.folder import index_section
from flagdit_core.pipeline.request import Generated, GenerationRequest
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.report import Report
from flagdit_core.testing import random_components
from flagdit_core.world import Check, Prompt, Verdict
from studies.sampling import Model, join, run_cell, run_table
from studies.sampling_cells import Cell, table_of


class FirstCell:
    """A world whose captions name a number, which the first cell of the latent must exceed."""

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Two categories in turn."""
        return [Prompt(text=f"{number}", category="even" if number % 2 == 0 else "odd") for number in range(count)]

    def verify(self, artifact: Tensor, prompt: str) -> Verdict:
        """Small numbers are exceeded."""
        above = bool(artifact.flatten()[0] > int(prompt) - 2.5)
        return Verdict(checks=(Check(kind="above", expected="yes", found="yes" if above else "no", passed=above),))


def generate(pipeline: Any, request: GenerationRequest) -> Generated:
    """Latents, of the size asked for or 4 by 4."""
    report, count = Report(strict=False), len(request.prompts)
    report.record(prompts=list(request.prompts), negative_prompts=[None] * count)
    width, height = request.size or (4, 4)
    latents = generate_latents(
        pipeline.components, request.prompts, [(4, height, width)] * count, request.settings,
        seeds=request.seeds or [], indices=[0] * count, report=report,
    )  # fmt: skip
    return Generated.of(latents, report)


@pytest.fixture
def model() -> Model:
    """A random network that its own settings guide."""
    codec: Any = SimpleNamespace(latent_channels=4)
    components = random_components(codec, ["a red circle"], training_shape=(1, 4, 4), spread=0.2)
    pipeline: Any = SimpleNamespace(components=components)
    return Model(name="image/nano", digest="first", pipeline=pipeline, generate=generate, world=FirstCell())


@pytest.mark.parametrize(
    ("sampling", "evaluations"),
    [
        ({"num_inference_steps": 4}, 8),
        ({"num_inference_steps": 4, "guidance_scale": 1.0}, 4),
        ({"num_inference_steps": 2, "solver": "rk4"}, 16),
        ({"num_inference_steps": 4, "guidance_interval": (0.0, 0.4)}, 6),
    ],
)
def test_evaluations(model: Model, sampling: dict[str, Any], evaluations: int) -> None:
    """Cost is what the network computes for one sample: stages count, a guided one twice, whatever the batch."""
    row = run_cell(model, Cell(sampling=sampling, size=(8, 4)), count=5, batch_size=3)
    assert row["evaluations"] == evaluations
    assert row["seconds"] > 0


def test_counts(model: Model) -> None:
    """Outcomes are told caption by caption, and are those that the counts add up to."""
    row = run_cell(model, Cell(), count=6)
    assert row["passed"].startswith("1") and row["passed"].endswith("0")  # no noise reaches the last number
    assert row["overall"] == [row["passed"].count("1"), 6] == row["by_check"]["above"]
    assert row["by_category"]["even"] == [row["passed"][::2].count("1"), 3]


def test_only_what_is_missing_is_made(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on where another stopped, cell by cell and caption by caption; other weights begin anew."""
    cells = {name: Cell(sampling={"num_inference_steps": number}) for number, name in enumerate(("one", "two"), 1)}
    monkeypatch.setattr("studies.sampling.table_of", lambda *_: tuple(cells.values()))
    made: list[str] = []

    def spy(pipeline: Any, request: GenerationRequest) -> Generated:
        made.append(f"{request.settings.num_inference_steps} steps: {' '.join(request.prompts)}, {request.seeds}")
        return generate(pipeline, request)

    model = replace(model, generate=spy)
    path = run_table(model, "solvers", tmp_path, count=2, only="steps=2")
    assert made == ["2 steps: 0 1, [1000, 1001]"]
    run_table(model, "solvers", tmp_path, count=2)
    assert made[1:] == ["1 steps: 0 1, [1000, 1001]"]
    content = json.loads(path.read_text(encoding="utf-8"))
    assert [row["sampling"]["num_inference_steps"] for row in content["cells"]] == [2, 1]
    assert content["model_sha256"] == "first" and content["machine"]["cores"] > 0
    run_table(model, "solvers", tmp_path, count=2)
    assert len(made) == 2
    run_table(model, "solvers", tmp_path, count=5, only="steps=1")
    assert made[2:] == ["1 steps: 2 3 4, [1002, 1003, 1004]"]
    run_table(replace(model, digest="second"), "solvers", tmp_path, count=2, only="steps=2")
    assert len(made) == 4
    assert len(json.loads(path.read_text(encoding="utf-8"))["cells"]) == 1


def test_captions_in_two_runs_are_as_in_one(model: Model) -> None:
    """Joined rows are the row of all captions at once, but for the time that they took."""
    cell = Cell(sampling={"guidance_interval": (0.0, 0.5)})
    parts = join(run_cell(model, cell, count=2), run_cell(model, cell, count=3, first=2))
    whole = run_cell(model, cell, count=5)
    assert parts["seconds"] > 0
    assert parts | {"seconds": 0} == whole | {"seconds": 0}


def test_no_time_no_cell(model: Model, tmp_path: Path) -> None:
    """A budget that is used up begins nothing."""
    assert not run_table(model, "solvers", tmp_path, count=2, budget=-1.0).is_file()


def test_the_cells_of_the_shipped_models() -> None:
    """Every cell is a setting that its model can be sampled with, and none is there twice; other tables are refused."""
    shipped = {
        f"{modality.name}/{name}": SamplingSettings.from_dict(
            index_section(folder, read_model_index(folder), "sampling")
        )
        for modality in installed_modalities().values()
        for name, folder in modality.models.items()
    }
    for name, own in shipped.items():
        for table in ("solvers", *{"image/nano": ["sizes"], "3d/nano": []}.get(name, ["durations"])):
            cells = table_of(name, table)
            settings = [cell.settings(own) for cell in cells]
            keys = {(cell.size, str(cell.options), str(each)) for cell, each in zip(cells, settings, strict=True)}
            assert len(keys) == len(cells) > 5, name
    with pytest.raises(ConfigError, match="it has solvers, sizes"):
        table_of("image/nano", "durations")
