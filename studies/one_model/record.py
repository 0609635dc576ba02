"""What a run of the recipe has seen, beside the shipped models of one modality each, as JSON.

``python -m studies.one_model.record runs/one-model`` records a run. Without a folder it brings the shipped models' part
of the JSON up to date, whose run need not be at hand.
"""

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flagdit_core.errors import CheckpointError
from flagdit_core.evaluation import write_json
from flagdit_core.recipes import WorldRecipe
from flagdit_core.training.checkpoint import latest_checkpoint, read_state
from flagdit_kernels.bench.record import describe_origin
from lumina_3d.recipes.nano import NANO as OBJECT
from lumina_audio.recipes.nano import NANO as SOUND
from lumina_image.recipes.nano import NANO as PICTURE
from lumina_video.recipes.nano import NANO as FILM
from studies.one_model.mixture import seen
from studies.one_model.recipe import RATIONS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "studies" / "results" / "one_model"


@dataclass(frozen=True, kw_only=True)
class Single:
    """The shipped model of one modality.

    Attributes:
        recipe: Of its training.
        evaluation: JSON of its card's table.
    """

    recipe: WorldRecipe
    evaluation: Path

    def as_dict(self) -> dict[str, Any]:
        """Updates, examples and pass rates, JSON-ready."""
        training, card = self.recipe.training, json.loads(self.evaluation.read_text(encoding="utf-8"))
        tables = {"captions": {"all captions": card["overall"], **card["by_category"]}, "checks": card["by_check"]}
        return {
            "updates": training.num_steps,
            "examples": training.num_steps * training.batch_size,
            "model_sha256": card["model_sha256"],
            **{
                table: {name: [rate["passed"], rate["total"]] for name, rate in rates.items()}
                for table, rates in tables.items()
            },
        }


SINGLE = {
    name: Single(recipe=recipe, evaluation=ROOT / "packages" / package / "model_card" / "eval.json")
    for name, recipe, package in (
        ("picture", PICTURE, "lumina-image"),
        ("film", FILM, "lumina-video"),
        ("object", OBJECT, "lumina-3d"),
        ("sound", SOUND, "lumina-audio"),
    )
}


def record(run_dir: Path, results: Path) -> Path:
    """Write ``run.json``, and a copy of the run's ``scalars.csv`` beside it.

    Args:
        run_dir: The run's folder.
        results: Where they go.

    Returns:
        The JSON.

    Raises:
        CheckpointError: There is no run.
    """
    checkpoint = latest_checkpoint(run_dir)
    if checkpoint is None:
        raise CheckpointError(f"{run_dir} has no checkpoint: expected the output folder of a run")
    state = read_state(checkpoint)
    step, settings = state["step"], state["settings"]
    counted = seen(RATIONS, step, batch_size=settings["batch_size"], seed=settings["seed"])
    media = {
        name: {"updates": updates, "examples": examples, "single": SINGLE[name].as_dict()}
        for name, (updates, examples) in counted.items()
    }
    results.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run_dir / "scalars.csv", results / "scalars.csv")
    path = results / "run.json"
    write_json({**describe_origin(torch.device("cpu")), "step": step, "training": settings, "media": media}, path)
    return path


def refresh(results: Path) -> Path:
    """Bring the shipped models' part of a recorded run up to date.

    Args:
        results: Holds ``run.json``.

    Returns:
        The JSON.
    """
    path = results / "run.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for name, medium in values["media"].items():
        medium["single"] = SINGLE[name].as_dict()
    write_json(values, path)
    return path


def main() -> int:
    """Record the run whose folder is named, or only bring up to date what is beside it."""
    parser = argparse.ArgumentParser(prog="python -m studies.one_model.record", description=__doc__)
    parser.add_argument("run_dir", type=Path, nargs="?", help="output folder of the recipe; none refreshes the rest")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    print(refresh(options.results) if options.run_dir is None else record(options.run_dir, options.results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
