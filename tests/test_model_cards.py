"""What a shipped model's card says of it is what the evaluation found, of the weights that are shipped."""

import json
from pathlib import Path

import pytest

from flagdit_core.evaluation import Sample, summarize
from flagdit_core.modalities import installed_modalities
from flagdit_core.pipeline import weights_digest

ROOT = Path(__file__).parents[1]
SHIPPED = {
    f"{modality.name}/{name}": (ROOT / "packages" / modality.distribution / "model_card", folder)
    for modality in installed_modalities().values()
    for name, folder in modality.models.items()
    if folder.is_dir()
}
FEWEST_CAPTIONS, SERVING = 300, 0.5


@pytest.mark.parametrize("name", SHIPPED)
def test_card(name: str) -> None:
    """Both tables stand in the card as counted from the outcomes, and the outcomes are of these weights."""
    source, folder = SHIPPED[name]
    record = json.loads((source / "eval.json").read_text(encoding="utf-8"))
    evaluation = summarize([Sample(**sample) for sample in record["samples"]])
    card = (folder / "README.md").read_text(encoding="utf-8")
    for table in evaluation.table().split("\n\n"):
        assert table in card, table
    assert f"lumina eval {name} --count {record['count']}" in card
    assert record["model_sha256"] == weights_digest(folder)
    assert record["count"] == len(record["samples"]) >= FEWEST_CAPTIONS
    simplest = next(iter(evaluation.by_category.values()))
    assert simplest.value >= SERVING, f"{name} does not serve as a default: {simplest}"
