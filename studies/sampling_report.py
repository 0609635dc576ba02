"""``docs/sampling_study.md`` from the JSON of ``studies.sampling``."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import table
from benchmarks.pages import write_page
from flagdit_core.rates import Rate
from studies.pairs import Pairs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies" / "results"
PAGE = ROOT / "docs" / "sampling_study.md"

WITHIN = 0.01
"""The default is the cheapest that stays within this of the best pass rate."""

_HEAD = """# How to sample from the shipped models

Made by `python -m studies.sampling_report` from [the JSON of each table](../studies/results); not to be edited. Every
cell of a table has the same held-out captions and the same noise, so that two cells can be compared caption by caption.
The captions are other ones than those of the model cards. What a cell costs is counted in evaluations of the network
for one sample; a guided step has two. Seconds are a processor's for one artifact, without judging it.

With so few captions the 95 % interval of a pass rate (Wilson) is many points wide, and "within one point of the best"
is a rule about the numbers that were seen. The last column says more: the difference to the cell that the table names,
over the captions that both have, with its own 95 % interval; where that holds zero, the captions cannot tell the two
apart. Of many cells the best is also the luckiest. Some cells were only tried, on the first of the captions: "best" and
"cheapest near the best" are of those with the most.
"""
_TITLES = {"image": "Pictures", "video": "Films", "3d": "Objects", "audio": "Sounds"}
_KINDS = {
    "solvers": "solver, steps and guidance",
    "sizes": "other sizes",
    "durations": "twice the trained duration",
}
_REMARKS = {
    ("image", "solvers"): """
Two hundred captions tell six steps from ten, and no guidance or too much from 2, but not ten steps from twelve or
twenty-four. On the 1000 of the model card, with the same noise and a time shift of 2, ten steps pass 844, twelve 846
and sixteen 843. Ten are the default: the verdicts, too, were on pictures of ten.
""",
    ("image", "sizes"): """
Projected flow is what makes larger pictures: twice the side keeps nine tenths of the rate of the trained one, where the
goal was four fifths, and the other switches, with it or without, add nothing that 50 captions could tell. It is the
model's default. 192x96, 96x192, 160x96 and 96x160 were trained, each with an eighth of the last updates, and the first
two with a part of the verdicts. They are not there yet: of several objects, too many or too few are drawn, or stand
elsewhere. 144x112 was not trained, and keeps the rate. A large picture follows one of the trained area and shape.
""",
    ("video", "solvers"): """
Six to twenty-four steps of Euler's method are the same to 98 captions. On the 1000 of the model card, with the same
noise and a time shift of 2, eight steps pass 882 and twelve 881: eight are the default.
""",
    ("video", "durations"): """
Of the single switches only projected flow makes films of sixteen frames, and with 93 % of the rate it is above the goal
of four fifths; NTK, a time shift and proportional attention do nothing without it, and with it nothing that 49 captions
could tell. It is the model's default. Such a film shows the motion of eight frames more slowly: one that goes on has to
be made by extension.
""",
    ("audio", "solvers"): """
The number of steps hardly matters to a hundred captions. On the 1000 of the model card, with the same noise, 24 steps
and 12 both pass 784 (20 captions differ), and 4 steps 750: twelve are the model's default since. This table is of the
weights of 8000 updates, the next one of those of 14 482, which are shipped now.
""",
    ("audio", "durations"): """
Without a switch a longer sound is lost. `rope_scaling_factor=auto` and `ntk_factor=auto` keep seven tenths of the rate,
where the goal was four fifths, and a hundred captions do not tell them apart; a time shift and proportional attention
add nothing to NTK. It is the model's default, because it leaves the trained and shorter durations as they were.
""",
}
_OFF = {
    "rope_scaling_factor": 1.0, "ntk_factor": 1.0, "time_shift": 1.0, "proportional_attention": False,
    "projected_flow": False,
}  # fmt: skip

Row = Mapping[str, Any]
Study = Mapping[str, Any]


def render(folder: Path) -> str:
    """The page.

    Args:
        folder: Holds the JSON.

    Returns:
        Markdown, the same for the same files.
    """
    studies = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("sampling-*.json"))]
    parts = [_HEAD]
    for modality, title in _TITLES.items():
        found = [study for study in studies if study["model"].partition("/")[0] == modality]
        for study in sorted(found, key=lambda study: list(_KINDS).index(study["table"])):
            parts.append(f"\n## {title}: {_KINDS[study['table']]}\n\n{_origin(study)}\n\n")
            parts.append(_solvers(study) if study["table"] == "solvers" else _extrapolation(study))
            parts.append(_REMARKS.get((modality, study["table"]), ""))
    return "".join(parts)


def chosen(rows: Sequence[Row]) -> tuple[Row, Row]:
    """The best of several cells, and the default that follows.

    Args:
        rows: Cells of a table, at least one. Those that were only tried on fewer captions than others are not chosen.

    Returns:
        The cell of the highest pass rate, and the cheapest of those within a point of it; of equals the cheaper, then
        the one that passes more.
    """
    most = max(len(row["passed"]) for row in rows)
    rows = [row for row in rows if len(row["passed"]) == most]
    best = min(rows, key=lambda row: (-_rate(row).value, row["evaluations"]))
    near = [row for row in rows if _rate(row).value >= _rate(best).value - WITHIN]
    return best, min(near, key=lambda row: (row["evaluations"], -_rate(row).value))


def _solvers(study: Study) -> str:
    """Cells by what they cost, and what follows."""
    rows: list[Row] = study["cells"]
    shipped = next((row for row in rows if row["sampling"] == study["own_sampling"]), None)
    own, (best, default) = shipped or rows[0], chosen(rows)
    marks = {"best": best, "cheapest near the best": default, "as shipped": shipped}
    lines = [
        (
            _marked(_way(row), [mark for mark, marked in marks.items() if marked is row]),
            f"{row['evaluations']:g}",
            f"{row['seconds']:.2f}",
            len(row["passed"]),
            _percent(row),
            "" if row is own else _difference(own, row),
        )
        for row in sorted(rows, key=lambda row: (row["evaluations"], -_rate(row).value))
    ]
    header = ("solver, steps, guidance", "evaluations", "s", "captions", "passed, %", f"difference to {_way(own)}")
    said = f"Best is {_way(best)}, and nothing cheaper is within one point of it."
    if default is not best:
        said = (
            f"Best is {_way(best)}; the cheapest within one point of it is {_way(default)}, with "
            f"{default['evaluations']:g} evaluations instead of {best['evaluations']:g}, and a difference of "
            f"{_difference(best, default)}."
        )
    return f"{table(header, lines)}\n{said}\n"


def _marked(words: str, marks: Sequence[str]) -> str:
    """Words with remarks after them."""
    return f"{words} ({', '.join(marks)})" if marks else words


def _extrapolation(study: Study) -> str:
    """Cells of other sizes or durations, as shares of the trained one's pass rate."""
    rows: list[Row] = study["cells"]
    trained = next(row for row in rows if _where(row) == (None, {}))
    rows = [row for row in rows if row is not trained]
    lines = [(_place(trained), _switches(trained), len(trained["passed"]), _percent(trained), "100 %", "")]
    for row in rows:
        plain = next((other for other in rows if _where(other) == _where(row) and _switches(other) == "none"), row)
        same = {**trained, "passed": trained["passed"][: len(row["passed"])]}
        share = f"{100 * _rate(row).value / _rate(same).value:.0f} %" if "1" in same["passed"] else ""
        against = "" if plain is row else _difference(plain, row)
        lines.append((_place(row), _switches(row), len(row["passed"]), _percent(row), share, against))
    made = f"made by {_way(trained)}"
    header = (made, "switches", "captions", "passed, %", "share of the trained one", "difference to no switch")
    return table(header, lines)


def _way(row: Row) -> str:
    """Solver, steps and guidance, and what else is not at its plain value."""
    sampling = row["sampling"]
    words = [f"{sampling['solver']} {sampling['num_inference_steps']}", f"guidance {sampling['guidance_scale']:g}"]
    if sampling["time_shift"] != 1:
        words.append(f"time shift {sampling['time_shift']:g}")
    if sampling["guidance_interval"] != [0.0, 1.0]:
        words.append("guided from {:g} to {:g}".format(*sampling["guidance_interval"]))
    return ", ".join(words)


def _where(row: Row) -> tuple[Any, Any]:
    """What was asked for, beside the sampling."""
    return row["size"], row["options"]


def _place(row: Row) -> str:
    """The same in words."""
    size = ["x".join(map(str, row["size"]))] if row["size"] else []
    return ", ".join([*size, *(f"{value} {name}" for name, value in row["options"].items())]) or "as trained"


def _switches(row: Row) -> str:
    """The switches of extrapolation that are on; a study from before there was one had it off."""
    sampling = {**_OFF, **row["sampling"]}
    return ", ".join(f"`{name}={sampling[name]}`" for name, off in _OFF.items() if sampling[name] != off) or "none"


def _rate(row: Row) -> Rate:
    return Rate(passed=row["passed"].count("1"), total=len(row["passed"]))


def _percent(row: Row) -> str:
    """Pass rate and interval."""
    low, high = _rate(row).interval
    return f"{100 * _rate(row).value:.1f} ({100 * low:.0f} - {100 * high:.0f})"


def _difference(first: Row, second: Row) -> str:
    """Points that the second passes more than the first, and their interval, over the captions that both have."""
    count = min(len(first["passed"]), len(second["passed"]))
    pairs = Pairs.of(first["passed"][:count], second["passed"][:count])
    low, high = pairs.interval
    return f"{100 * pairs.difference:+.1f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _origin(study: Study) -> str:
    """Where the numbers are from, in a line."""
    machine, commit = study["machine"], study["commit"]
    where = f"{machine['processor']}, {machine['cores']} cores shared with other work"
    made = "commit unknown" if commit is None else f"commit {commit['id'][:10]}"
    return (
        f"{study['model']}, weights {study['model_sha256'][:10]}; seed {study['seed']}; {where}; "
        f"torch {study['versions']['torch']}; {made}."
    )


def main() -> int:
    """Write the page, or see whether it is what the JSON says."""
    return write_page("studies.sampling_report", render, results=RESULTS, page=PAGE)


if __name__ == "__main__":
    sys.exit(main())
