"""Curves of the variants, with the spread of their seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies.ablations.summary import LOSS, Run, Runs, at
from studies.ablations.variants import BASELINE

PANELS: Final[Mapping[str, str]] = {
    LOSS: "held-out velocity loss",
    "background": "background right, %",
    "color": "colour right, %",
    "place": "place right, %",
}
# Okabe and Ito's palette and two more, for readers of any colour vision; lines differ in dash and marker besides.
_COLORS: Final = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#8C8C8C", "#882255")
_MARKERS: Final = "osD^vPX*h"
_DASHES: Final = ("-", "--", "-.", ":", "--", "-.", ":", "--", "-.")


def draw_curves(runs: Runs, names: Sequence[str], path: Path) -> None:
    """One panel for each measure, one line for each variant: the mean of its seeds, and a band from least to most.

    Args:
        runs: Of each variant.
        names: Variants to show; those without runs are left out.
        path: An SVG file, the same for the same runs.
    """
    with mpl.rc_context({"svg.hashsalt": "ablations", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 6.2), layout="constrained")
        panels = figure.subplots(2, 2)
        shown = [name for name in names if name in runs]
        for axes, (measure, title) in zip(panels.flat, PANELS.items(), strict=True):
            for number, name in enumerate(shown):
                _draw_line(axes, runs[name], measure, number, name)
            axes.set(ylabel=title, xlabel="share of the run's compute, %", xlim=(0, 103))
            axes.grid(alpha=0.25)
            if measure == LOSS:
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter("{x:.2g}")
                axes.yaxis.set_minor_formatter("{x:.2g}")
            else:
                axes.set_ylim(-3, 103)
        handles, labels = panels[0, 1].get_legend_handles_labels()
        labels = [f"{label} (baseline)" if label == BASELINE else label for label in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None})


def _draw_line(axes: Axes, runs: Sequence[Run], measure: str, number: int, name: str) -> None:
    """A variant's mean and band, where it has the measure."""
    curves = [
        {point["step"]: value for point in run["points"] if (value := at(point, measure)) is not None} for run in runs
    ]
    steps = sorted(set.intersection(*map(set, curves)))
    if not steps:
        return
    factor = 1.0 if measure == LOSS else 100.0
    columns = [[factor * curve[step] for curve in curves] for step in steps]
    shares = [100 * step / runs[0]["training"]["num_steps"] for step in steps]
    color = _COLORS[number % len(_COLORS)]
    axes.fill_between(shares, [min(of) for of in columns], [max(of) for of in columns], color=color, alpha=0.15, lw=0)
    axes.plot(
        shares,
        [sum(of) / len(of) for of in columns],
        color=color,
        linestyle=_DASHES[number % len(_DASHES)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
        linewidth=2.2 if name == BASELINE else 1.4,
        zorder=3 if name == BASELINE else 2,
        label=name,
    )
