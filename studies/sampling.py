"""Pass rates of a shipped model over ways of sampling, cell by cell, on the same held-out captions and seeds.

``python -m studies.sampling audio/nano --table solvers --count 100 --results studies/results``
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from flagdit_core.cli.models import find_model
from flagdit_core.errors import FlagDiTError
from flagdit_core.evaluation import Evaluation, evaluate, write_json
from flagdit_core.modalities import load_object
from flagdit_core.pipeline import Pipeline, weights_digest
from flagdit_core.pipeline.request import Generated, GenerationRequest
from flagdit_core.world import Prompt, Verdict, World
from flagdit_kernels.bench.record import describe_origin
from studies.sampling_cells import Cell, table_of

SEED = 1000
"""Of captions and noise: not that of the model cards, whose captions are not to choose how they are sampled."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A shipped model, its world, and what is fixed of a study of it.

    Attributes:
        name: Such as "audio/nano".
        digest: Fingerprint of the weights.
        pipeline: The model.
        generate: Makes what the world judges.
        world: Gives the captions and judges.
    """

    name: str
    digest: str
    pipeline: Pipeline
    generate: Callable[[Any, GenerationRequest], Generated]
    world: World


def load_model(name: str) -> Model:
    """A model as the study takes it.

    Args:
        name: A shipped one, such as "image/nano", or a folder.

    Returns:
        The model; objects are judged by their views, because meshing takes longer than sampling and follows from them.

    Raises:
        FlagDiTError: There is no such model, or its folder is damaged.
    """
    modality, folder = find_model(name)
    assert modality.world is not None
    pipeline = load_object(modality.pipeline).from_pretrained(folder)
    request = GenerationRequest(prompts=(), settings=pipeline.components.sampling)
    return Model(
        name=name,
        digest=weights_digest(folder),
        pipeline=pipeline,
        generate=load_object("lumina_3d.command:generate_views" if modality.name == "3d" else modality.generate),
        world=load_object(modality.world)(pipeline, request),
    )


@dataclass(frozen=True, kw_only=True)
class _Later:
    """A world without its first captions; a ``flagdit_core.world.World``."""

    world: World
    first: int

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """The captions from that number on; theirs are the seeds from ``seed`` on, as evaluation counts them."""
        return self.world.prompts(self.first + count, seed=seed - self.first)[self.first :]

    def verify(self, artifact: Any, prompt: str) -> Verdict:
        """As the world does."""
        return self.world.verify(artifact, prompt)


def run_cell(model: Model, cell: Cell, *, count: int, first: int = 0, batch_size: int = 25) -> dict[str, Any]:
    """What a cell gives: pass rates, and what a sample costs.

    Args:
        model: What samples.
        cell: How.
        count: Captions; at other sizes, too, they are those of the model's own size.
        first: Number of the first of them.
        batch_size: Captions sampled at once.

    Returns:
        The cell's row of the JSON. ``evaluations`` are of the network for one sample, a guided step's two counted as
        two; ``seconds`` are a processor's for one artifact, without judging it; ``passed`` has a 1 or 0 for each
        caption in turn.

    Raises:
        FlagDiTError: A setting cannot be used with this model.
    """
    settings = cell.settings(model.pipeline.components.sampling)
    evaluations, seconds = 0, 0.0

    def count_rows(_: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        nonlocal evaluations
        evaluations += len(arguments[0])

    def make(prompts: Sequence[str], seeds: Sequence[int]) -> Sequence[Any]:
        nonlocal seconds
        request = GenerationRequest(
            prompts=prompts, seeds=seeds, settings=settings, size=cell.size, options=cell.options, progress=False
        )
        start = time.process_time()
        artifacts = model.generate(model.pipeline, request).artifacts
        seconds += time.process_time() - start
        return artifacts

    hook = model.pipeline.components.model.register_forward_pre_hook(count_rows)
    try:
        world = _Later(world=model.world, first=first)
        found = evaluate(make, world, count=count, seed=SEED + first, batch_size=batch_size)
    finally:
        hook.remove()
    return {
        "name": cell.name,
        **_key(cell, settings.to_dict()),
        "evaluations": evaluations / count,
        "seconds": seconds / count,
        **_counts(found),
    }


def join(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a cell's first captions and one of the next, as one.

    Args:
        before: As :func:`run_cell` returns it.
        after: The same cell.

    Returns:
        The cell's row for all of them.
    """
    counts, total = (before["overall"][1], after["overall"][1]), before["overall"][1] + after["overall"][1]
    means = {name: (counts[0] * before[name] + counts[1] * after[name]) / total for name in ("evaluations", "seconds")}
    by = {name: _sums(before[name], after[name]) for name in ("by_category", "by_check")}
    overall = [a + b for a, b in zip(before["overall"], after["overall"], strict=True)]
    return {**after, **means, "overall": overall, **by, "passed": before["passed"] + after["passed"]}


def _sums(before: Mapping[str, list[int]], after: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Counts added up by name."""
    found = {name: [0, 0] for name in (*before, *after)}
    for counts in (before, after):
        for name, (passed, total) in counts.items():
            found[name][0] += passed
            found[name][1] += total
    return found


def _key(cell: Cell, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a cell from the others, as JSON has it."""
    return dict(json.loads(json.dumps({"size": cell.size, "options": cell.options, "sampling": sampling})))


def _counts(found: Evaluation) -> dict[str, Any]:
    """Counts as [passed, total], and each caption's outcome."""
    return {
        "overall": [found.overall.passed, found.overall.total],
        "by_category": {name: [rate.passed, rate.total] for name, rate in found.by_category.items()},
        "by_check": {name: [rate.passed, rate.total] for name, rate in found.by_check.items()},
        "passed": "".join(str(int(sample.passed)) for sample in found.samples),
    }


def run_table(
    model: Model, table: str, folder: Path, *, count: int, only: str = "", budget: float | None = None
) -> Path:
    """Make what is missing of a table; its file is written anew after every cell.

    Args:
        model: What samples.
        table: Which cells.
        folder: Of the JSON; made if missing.
        count: Captions of each cell; what a cell has of them already is kept, and the rest made.
        only: Cells whose name holds this.
        budget: Begin no cell after so many seconds; None has no limit.

    Returns:
        The file. Cells that it had of other weights are dropped.

    Raises:
        FlagDiTError: There is no such table, or a cell cannot be sampled.
    """
    origin = {"model": model.name, "model_sha256": model.digest, "table": table, "seed": SEED}
    path = folder / f"sampling-{model.name.replace('/', '-')}-{table}.json"
    rows, own = _rows_of(path, origin), model.pipeline.components.sampling
    deadline = None if budget is None else time.monotonic() + budget
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [cell for cell in table_of(model.name, table) if only in cell.name]
    for cell in tqdm(chosen, disable=None, unit="cell"):
        key = _key(cell, cell.settings(own).to_dict())
        place = next((number for number, row in enumerate(rows) if key.items() <= row.items()), len(rows))
        made = rows[place]["overall"][1] if place < len(rows) else 0
        if made >= count:
            continue
        if deadline is not None and time.monotonic() > deadline:
            break
        row = run_cell(model, cell, count=count - made, first=made)
        rows[place:] = [join(rows[place], row) if made else row, *rows[place + 1 :]]
        measured_at = describe_origin(torch.device("cpu"))
        write_json({**origin, **measured_at, "own_sampling": own.to_dict(), "cells": rows}, path)
    return path


def _rows_of(path: Path, origin: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells that a file has of these weights and captions."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return list(content["cells"]) if origin.items() <= content.items() else []


def main() -> int:
    """Run a table, or what is missing of it."""
    parser = argparse.ArgumentParser(prog="python -m studies.sampling", description=__doc__)
    parser.add_argument("model", help="a shipped model, such as image/nano")
    parser.add_argument("--table", default="solvers", help="solvers; sizes of pictures; durations of films and sounds")
    parser.add_argument("--count", type=int, default=100, help="captions of each cell")
    parser.add_argument("--results", type=Path, required=True, help="folder of the JSON")
    parser.add_argument("--only", default="", help="cells whose name holds this, such as midpoint or 192x192")
    parser.add_argument("--budget", type=float, help="begin no cell after so many seconds")
    options = parser.parse_args()
    try:
        model = load_model(options.model)
        path = run_table(
            model, options.table, options.results, count=options.count, only=options.only, budget=options.budget
        )
    except FlagDiTError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
