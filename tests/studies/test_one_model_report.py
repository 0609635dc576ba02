"""The page about one model: what it says is in the JSON, and the JSON is of the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from flagdit_core.errors import CheckpointError
from studies.one_model.mixture import seen
from studies.one_model.recipe import RATIONS
from studies.one_model.record import RESULTS, SINGLE, record, refresh
from studies.one_model.report import PAGE, render

_SETTINGS = {"batch_size": 8, "seed": 5, "num_steps": 50}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run of 40 updates, as far as the record reads it."""
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000040"
    checkpoint.mkdir(parents=True)
    (checkpoint.parent / "latest").write_text(checkpoint.name)
    (checkpoint / "state.json").write_text(json.dumps({"format": 1, "step": 40, "settings": _SETTINGS}))
    rows = [f"{step},{1 / step:.3f}" for step in range(2, 42, 2)]
    (tmp_path / "run" / "scalars.csv").write_text("\n".join(["step,loss", *rows]))
    return tmp_path / "run"


def _evaluation(name: str, passed: int) -> dict[str, Any]:
    """What ``lumina eval`` writes, as far as the page reads it."""
    single, rate = SINGLE[name].as_dict(), {"passed": passed, "total": 20}
    categories = dict.fromkeys(single["captions"].keys() - {"all captions"}, rate)
    checks = {kind: {"passed": 2 * passed, "total": 60} for kind in [*single["checks"], "new"]}
    return {"model_sha256": "ab" * 32, "overall": rate, "by_category": categories, "by_check": checks}


def test_record(run_dir: Path, tmp_path: Path) -> None:
    """It has what the rations gave in so many updates, the single models' cards, and the run's scalars."""
    content = json.loads(record(run_dir, tmp_path / "results").read_text())
    assert (content["step"], content["training"]) == (40, _SETTINGS)
    found = {name: (medium["updates"], medium["examples"]) for name, medium in content["media"].items()}
    assert found == seen(RATIONS, 40, batch_size=8, seed=5)
    card = json.loads(SINGLE["film"].evaluation.read_text())
    single = content["media"]["film"]["single"]
    assert single["captions"]["still"] == [
        card["by_category"]["still"]["passed"],
        card["by_category"]["still"]["total"],
    ]
    assert single["examples"] == SINGLE["film"].recipe.training.num_steps * SINGLE["film"].recipe.training.batch_size
    assert (tmp_path / "results" / "scalars.csv").read_text() == (run_dir / "scalars.csv").read_text()


def test_no_run(tmp_path: Path) -> None:
    """A folder without checkpoints is refused."""
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        record(tmp_path, tmp_path)


def test_page(run_dir: Path, tmp_path: Path) -> None:
    """Rates of both models stand beside one another, with intervals; the loss is of each tenth of the run."""
    results = record(run_dir, tmp_path / "results").parent
    for number, name in enumerate(RATIONS):
        (results / f"{name}.json").write_text(json.dumps(_evaluation(name, 5 * number)))
    page = render(results)
    assert "\n40 of 50 planned updates; weights abababab" in page
    card = json.loads(SINGLE["sound"].evaluation.read_text())
    for what, kind, mine in (
        ("by_category", "one sound", ["15/20", "75.0 (53 - 89)"]),
        ("by_check", "pitch", ["30/60", "50.0 (38 - 62)"]),
    ):
        row = next(line for line in page.splitlines() if line.startswith(f"| sound | {kind} |"))
        single = card[what][kind]
        assert row.split(" | ")[2:5] == [*mine, f"{single['passed']}/{single['total']}"]
    assert "| sound | new | 30/60 | 50.0 (38 - 62) |  |  |" in page
    losses = next(line for line in page.splitlines() if line.startswith("| loss |"))
    assert losses.split(" | ")[1] == f"{(1 / 2 + 1 / 4) / 2:.3f}" and losses.count("|") == 12
    (results / "film.json").write_text(json.dumps({**_evaluation("film", 1), "model_sha256": "cd" * 32}))
    with pytest.raises(ValueError, match="too many values"):
        render(results)


def test_the_page_is_what_the_results_say() -> None:
    """The committed page is rendered from the committed JSON."""
    assert PAGE.read_text(encoding="utf-8") == render(RESULTS)


def test_the_shipped_models_part_is_up_to_date(tmp_path: Path) -> None:
    """Without a run what stands beside it is read anew, and the committed JSON has what the cards have."""
    committed = json.loads((RESULTS / "run.json").read_text(encoding="utf-8"))
    media = {name: {**medium, "single": {}} for name, medium in committed["media"].items()}
    (tmp_path / "run.json").write_text(json.dumps({**committed, "media": media}), encoding="utf-8")
    assert json.loads(refresh(tmp_path).read_text(encoding="utf-8")) == committed
