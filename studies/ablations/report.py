"""``docs/ablations.md`` and its plots from the JSON of the runs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from studies.ablations.plots import draw_curves
from studies.ablations.summary import CHECKS, LOSS, Run, Runs, Value, final, read_runs, values
from studies.ablations.variants import BASELINE, VARIANTS, Group

FINDINGS = Path(__file__).with_name("findings.md")
_TITLES: dict[Group, str] = {
    "network": "The paper's ablation, and the separators",
    "training": "Our training",
}
_HEADS = {
    "background": "background",
    "color": "colour",
    "place": "place",
    "size": "size",
    "shape": "shape",
    "all": "whole caption",
}
_HEAD = """# Ablations

What matters when a Flag-DiT is trained at a very small scale: runs that differ from a baseline in one thing each. Made
by `python -m studies.ablations report` from [the JSON of each run](../studies/results/ablations); what was found is
[written by hand](../studies/ablations/findings.md).
"""


def write(results: Path, page: Path) -> None:
    """Write the page, and its plots into ``images/`` beside it.

    Args:
        results: Holds the JSON of the runs.
        page: File to write.
    """
    runs = read_runs(results)
    for group in _TITLES:
        draw_curves(runs, _names(group), page.parent / "images" / f"ablations-{group}.svg")
    page.write_text(render(runs), encoding="utf-8")


def render(runs: Runs) -> str:
    """The page.

    Args:
        runs: Of each variant; some of the baseline.

    Returns:
        Markdown, the same for the same runs.
    """
    sections = [f"\n## {title}\n\n{_section(runs, group)}" for group, title in _TITLES.items()]
    return "".join([_HEAD, "\n", FINDINGS.read_text(encoding="utf-8"), *sections, "\n", _method(runs)])


def _names(group: Group) -> list[str]:
    """The baseline and the variants of a group."""
    return [BASELINE, *(name for name, variant in VARIANTS.items() if variant.group == group and name != BASELINE)]


def _section(runs: Runs, group: Group) -> str:
    names = [name for name in _names(group) if name in runs]
    missing = [name for name in _names(group) if name not in runs]
    return "\n".join(
        (
            f"![Curves of {', '.join(names)}](images/ablations-{group}.svg)",
            "",
            "*Means of the seeds and, shaded, from the least to the most of them; pictures with guidance 4.*",
            "",
            _table(runs, names),
            *([f"\nNot run: {', '.join(missing)}."] if missing else []),
            "",
        )
    )


def _table(runs: Runs, names: Sequence[str]) -> str:
    """A line for each variant: what changed, and where it ended."""
    loss = values(runs, lambda run: final(run, LOSS))
    checks = {check: values(runs, _final(check, "guidance 4")) for check in CHECKS}
    unguided = values(runs, _final("all", "guidance 1"))
    seconds = values(runs, lambda run: float(run["processor_seconds_per_update"]))
    head = ["variant", "what changed", "seeds", "velocity loss", *(f"{_HEADS[check]} %" for check in CHECKS),
            "whole, unguided %", "s / update"]  # fmt: skip
    rows = [
        [
            f"`{name}`",
            VARIANTS[name].changed,
            str(len(runs[name])),
            _cell(loss.get(name), 1, 4),
            *(_cell(checks[check].get(name), 100, 0) for check in CHECKS),
            _cell(unguided.get(name), 100, 0),
            f"{seconds[name].mean:.3f}",
        ]
        for name in names
    ]
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


def _final(check: str, guidance: str) -> Callable[[Run], float | None]:
    return lambda run: final(run, check, guidance=guidance)


def _cell(value: Value | None, factor: float, digits: int) -> str:
    """Mean ± standard deviation, bold where it differs from the baseline."""
    if value is None:
        return ""
    spread = "" if value.spread is None else f" ± {factor * value.spread:.{digits}f}"
    text = f"{factor * value.mean:.{digits}f}{spread}"
    return f"**{text}**" if value.differs else text


def _method(runs: Runs) -> str:
    """How the runs were made, in the numbers of the baseline's first."""
    run = runs[BASELINE][0]
    scale, training, network, machine = run["scale"], run["training"], run["network"], run["machine"]
    parameters, encoder = run["parameters"]["network"], run["parameters"]["text_encoder"]
    made = [run for of in runs.values() for run in of]
    seconds = sum(run["processor_seconds_per_update"] * run["training"]["num_steps"] for run in made)
    return f"""## How

- **Data.** {scale["pictures"]:,} pictures of one object at 64 x 64 pixels, under the shipped VAE: 16 patches.
- **Networks.** A Flag-DiT of {parameters:,} parameters (width {network["hidden_size"]}, {network["depth"]} blocks)
  and a text encoder of {encoder:,} that is trained along.
- **Training.** {training["num_steps"]} updates of {training["batch_size"]}, {run["examples"]:,} examples, by the
  nano recipe: Muon beside AdamW, cosine decay, bfloat16. A variant changes one thing, and keeps the number of updates
  but where it says otherwise. Seeds are of weights, batches, times and noise.
- **Velocity loss.** Mean squared error on {scale["held_out"]} held-out pictures, at evenly spread times and with the
  same noise for all. On the VP path it is of something else, and left out.
- **Checks.** The world's verifier on {scale["prompts"]} held-out captions, {scale["sampling_steps"]} Euler steps and
  guidance {scale["guidance_scale"]:g}; on the VP path the same step is DDIM's
  ([arXiv 2010.02502](https://arxiv.org/abs/2010.02502)). A picture without its object fails all checks but the
  background's. Averaged weights are measured.
- **Tables.** Mean ± standard deviation of the seeds. **Bold** is more than three standard errors from the baseline,
  with the standard deviation of a seed pooled over all variants; nothing is where that has less than six degrees of
  freedom.
- **Machine.** {machine["processor"]} (Zen 4), {machine["cores"]} cores shared with other work. Seconds are a
  processor's, in one thread: {seconds / 60:.0f} minutes for the {len(made)} runs.

```text
python -m studies.ablations run --encoded /tmp/encoded     # what is missing of the runs
python -m studies.ablations report                         # this page and its plots
```
"""
