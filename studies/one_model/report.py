"""``docs/one_model.md`` from the JSON of ``studies.one_model.record`` and of ``lumina eval``."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.cells import table
from benchmarks.pages import write_page
from flagdit_core.rates import Rate
from studies.one_model.record import RESULTS, ROOT

PAGE = ROOT / "docs" / "one_model.md"

_TEXT = """# One model for all four modalities

Made by `python -m studies.one_model.report` from [the JSON](../studies/results/one_model); not to be edited.

The four shipped models have the same network, each with weights of its own. This page is about one set of weights for
all of them: one Flag-DiT and one text encoder. Nothing but the sentence and the shape of the sequence tells them
whether a picture, a film, views of an object or a sound is wanted.

## How

- **One width of token.** Pictures, films and views have latents of 8 channels in patches of 2 x 2: 32 values a token.
  A sound's latent has 16 channels and no rows. Folded into 8 channels and two rows (`latent_rows` of
  [MelCodec](../packages/lumina-audio/src/lumina_audio/mel_codec.py)), two moments of it are a patch of 32 values too.
  All four codecs keep their shipped weights.
- **One modality an update.** Latents of all shapes could lie in one packed batch, but equal ones take the dense path,
  which is cheaper on a CPU ([mixture.py](../studies/one_model/mixture.py)). Each modality has a quarter of the updates,
  and its batches are as large as in the single model's recipe: 64 pictures, 24 films, 16 objects or 64 sounds.
- **Four pipelines.** The recipe ends in an ordinary model folder for each modality, all with the same network and text
  encoder.

```text
lumina train studies.one_model.recipe:one_model --output runs/one-model
lumina eval runs/one-model/model/audio --modality audio --count 100
```

`studies.one_model.recipe:tiny` is the same code in minutes.

## What was trained

{run}

{seen}
The run began with the picture model as its recipe has it after 3000 updates of 64 x 64 pictures (192,000, not counted
above), as the film and the object model did; the single sound model began with nothing. It learnt from media that the
single models' runs had encoded, the sounds by the mel VAE before its weights were rounded to bfloat16. It ended in the
first part of the recipe, which has one object or one sound alone, at 128 x 128 for pictures: captions of several are of
things that it has never seen; and with the learning rate still near its highest.

Mean loss over all modalities ([scalars.csv](../studies/results/one_model/scalars.csv), whose examples a second count
every batch as 64):

{curve}
## How far it is

Held-out captions, judged by the rules of the cards: the one model's with 24 Euler steps and guidance 4, the single
models' as their cards say.

{passed}
Single checks, over all captions; what a card has no number of was not told apart when it was made:

{checks}
The run is far too short to say whether one model can do what the four do. What it says is that the way is open: one
network makes pictures, films, views and sounds, each in its own form, and backgrounds and colours follow the sentence.
Shapes, motion and sounds that can be named are not there yet. Pictures show an object several times, because their rows
are longer than those of the pictures that the run began with, as the single picture model did at first
([decisions](decisions.md#the-nano-model)). And the media run into one another where a caption is of a kind not yet
learnt: views of two solids often stand on the coloured backgrounds of pictures. The recipe goes on for 16,000 updates,
a quarter of them for each modality; a run is lengthened with `--resume` and a larger `training.num_steps`.
"""

Json = Mapping[str, Any]


def render(folder: Path) -> str:
    """The page.

    Args:
        folder: Holds run.json, scalars.csv, and the evaluation of each medium as ``<medium>.json``.

    Returns:
        Markdown, the same for the same files.
    """
    run = _read(folder / "run.json")
    evaluations = {name: _read(folder / f"{name}.json") for name in run["media"]}
    return _TEXT.format(
        seen=_seen(run),
        passed=_passed(run, evaluations),
        checks=_checks(run, evaluations),
        curve=_curve(folder / "scalars.csv"),
        run=_run(run, evaluations),
    )


def _read(path: Path) -> Json:
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def _seen(run: Json) -> str:
    """Updates and examples of each medium, beside the single model's."""
    rows = [
        (
            name,
            f"{medium['updates']:,}",
            f"{medium['examples']:,}",
            f"{medium['single']['updates']:,}",
            f"{medium['single']['examples']:,}",
            f"{medium['examples'] / medium['single']['examples']:.1%}",
        )
        for name, medium in run["media"].items()
    ]
    return table(("medium", "updates", "examples", "single model's updates", "its examples", "share"), rows)


def _passed(run: Json, evaluations: Mapping[str, Json]) -> str:
    """Captions whose every check passed, by category, beside the single model's card."""
    found = {name: {"all captions": of["overall"], **of["by_category"]} for name, of in evaluations.items()}
    return _beside(run, found, "captions")


def _checks(run: Json, evaluations: Mapping[str, Json]) -> str:
    """Single checks by kind, over all captions, beside the single model's card."""
    return _beside(run, {name: of["by_check"] for name, of in evaluations.items()}, "checks")


def _beside(run: Json, found: Mapping[str, Json], what: str) -> str:
    """Rates of the one model, each beside the single model's of the same name."""

    def rows() -> Iterator[tuple[str, ...]]:
        for medium, rates in found.items():
            single = run["media"][medium]["single"][what]
            for name, rate in rates.items():
                yield medium, name, *_percent(rate["passed"], rate["total"]), *_percent(*single.get(name, (0, 0)))

    return table(("medium", what, "one model", "%, 95 % interval", "single model", "%, 95 % interval"), rows())


def _percent(passed: int, total: int) -> tuple[str, str]:
    """A count, and its share with Wilson's interval; nothing of nothing."""
    if not total:
        return "", ""
    rate = Rate(passed=passed, total=total)
    low, high = rate.interval
    return f"{passed}/{total}", f"{100 * rate.value:.1f} ({100 * low:.0f} - {100 * high:.0f})"


def _curve(path: Path) -> str:
    """The mean loss of each tenth of the run."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    last = rows[-1][0]
    tenths = [[loss for step, loss in rows if last * part < 10 * step <= last * (part + 1)] for part in range(10)]
    means = [f"{sum(losses) / len(losses):.3f}" if losses else "" for losses in tenths]
    return table(("tenth of the run", *map(str, range(1, 11))), [("loss", *means)])


def _run(run: Json, evaluations: Mapping[str, Json]) -> str:
    """Where the numbers are from, in a line."""
    (weights,) = {evaluation["model_sha256"] for evaluation in evaluations.values()}
    machine, planned = run["machine"], run["training"]["num_steps"]
    return (
        f"{run['step']:,} of {planned:,} planned updates; weights {weights[:10]}; {machine['processor']}, one of "
        f"{machine['cores']} cores, shared with other work; torch {run['versions']['torch']}."
    )


def main() -> int:
    """Write the page, or see whether it is what the JSON says."""
    return write_page("studies.one_model.report", render, results=RESULTS, page=PAGE)


if __name__ == "__main__":
    sys.exit(main())
