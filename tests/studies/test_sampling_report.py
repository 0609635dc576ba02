"""The page of the sampling study says what its JSON says."""

import json
from pathlib import Path
from typing import Any

import pytest

from flagdit_core.pipeline.settings import SamplingSettings
from studies.sampling_report import PAGE, RESULTS, chosen, main, render

OWN = SamplingSettings(num_inference_steps=24, rope_scaling_factor="auto", training_shape=(1, 4, 4))


def cell(passed: str, evaluations: float, size: list[int] | None = None, **sampling: Any) -> dict[str, Any]:
    """A row of a table's JSON."""
    settings = json.loads(json.dumps(OWN.replace(**sampling).to_dict()))
    return {
        "name": "", "size": size, "options": {}, "sampling": settings, "evaluations": evaluations, "seconds": 0.5,
        "passed": passed,
    }  # fmt: skip


def study(table: str, *cells: dict[str, Any]) -> dict[str, Any]:
    """A table's JSON."""
    return {
        "model": "image/nano", "model_sha256": "0123456789abcdef", "table": table, "seed": 1000,
        "machine": {"processor": "A", "cores": 2}, "versions": {"torch": "2"}, "commit": None,
        "own_sampling": json.loads(json.dumps(OWN.to_dict())), "cells": list(cells),
    }  # fmt: skip


def test_the_default_is_the_cheapest_within_a_point() -> None:
    """A cell a whole caption below the best is not near it; of cells as good the cheapest is chosen."""
    best, near, below = cell("1" * 9 + "0", 48), cell("0" + "1" * 9, 12), cell("1" * 8 + "00", 6)
    assert chosen([below, best, near]) == (near, near)
    assert chosen([best, below]) == (best, best)
    of_many = [cell("1" * 199 + "0", 48), cell("1" * 198 + "00", 12)]  # half a point apart
    assert chosen(of_many) == (of_many[0], of_many[1])


def test_a_table_of_solvers(tmp_path: Path) -> None:
    """Rows stand by cost, with rates, what was chosen, and the difference of the same captions to the model's own."""
    rows = (cell("1110000000", 48), cell("0111100000", 12, num_inference_steps=6, time_shift=2.0))
    (tmp_path / "sampling-image-nano-solvers.json").write_text(json.dumps(study("solvers", *rows)))
    text = render(tmp_path)
    assert "## Pictures: solver, steps and guidance" in text and "weights 0123456789" in text
    first = "| euler 6, guidance 4, time shift 2 (best, cheapest near the best) | 12 | 0.50 | 10 | 40.0 (17 - 69) | +10"
    second = "| euler 24, guidance 4 (as shipped) | 48 | 0.50 | 10 | 30.0 (11 - 60) |  |"
    assert 0 < text.index(first) < text.index(second)
    assert "Best is euler 6, guidance 4, time shift 2, and nothing cheaper is within one point of it." in text
    assert "difference to euler 24, guidance 4 |" in text


def test_what_is_not_there_is_not_said(tmp_path: Path) -> None:
    """No cell is as shipped where that one was not sampled, and nothing is a share of nothing."""
    solvers = study("solvers", cell("1110000000", 24, num_inference_steps=12))
    (tmp_path / "sampling-image-nano-solvers.json").write_text(json.dumps(solvers))
    sizes = study("sizes", cell("00", 24), cell("01", 24, size=[8, 8]))
    (tmp_path / "sampling-image-nano-sizes.json").write_text(json.dumps(sizes))
    text = render(tmp_path)
    assert "| euler 12, guidance 4 (best, cheapest near the best) | 24 |" in text
    assert "| 8x8 | `rope_scaling_factor=auto` | 2 | 50.0 (9 - 91) |  |  |" in text


def test_a_cell_that_was_only_tried_is_compared_but_not_chosen(tmp_path: Path) -> None:
    """It is shown with the captions that it has, and compared on these; what is chosen has been judged on all."""
    rows = (cell("1110000000", 48), cell("1111", 12, num_inference_steps=6))
    (tmp_path / "sampling-image-nano-solvers.json").write_text(json.dumps(study("solvers", *rows)))
    text = render(tmp_path)
    assert "(best, cheapest near the best, as shipped) | 48 | 0.50 | 10 | 30.0 (" in text
    assert "| euler 6, guidance 4 | 12 | 0.50 | 4 | 100.0 (51 - 100) | +25.0 (" in text


def test_a_table_of_sizes(tmp_path: Path) -> None:
    """A size is a share of the trained one's rate, and every switch is compared with none at that size."""
    rows = (
        cell("1111100000", 48),
        cell("1000000000", 48, [8, 8], rope_scaling_factor=1.0),
        cell("1111000000", 48, [8, 8], ntk_factor="auto", proportional_attention=True),
    )
    (tmp_path / "sampling-image-nano-sizes.json").write_text(json.dumps(study("sizes", *rows)))
    text = render(tmp_path)
    assert "| as trained | `rope_scaling_factor=auto` | 10 | 50.0 (24 - 76) | 100 % |  |" in text
    assert "| 8x8 | none | 10 | 10.0 (2 - 40) | 20 % |  |" in text
    switches = "`rope_scaling_factor=auto`, `ntk_factor=auto`, `proportional_attention=True`"
    assert f"| 8x8 | {switches} | 10 | 40.0 (17 - 69) | 80 % | +30.0 (" in text


def test_the_page_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/sampling_study.md is what studies/results says, and a page that is not is noticed."""
    assert PAGE.read_text(encoding="utf-8") == render(RESULTS)
    stale = tmp_path / "page.md"
    stale.write_text(render(RESULTS) + "a number without JSON\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["sampling_report", "--check", "--page", str(stale)])
    assert main() == 1 and "python -m studies.sampling_report" in capsys.readouterr().err
