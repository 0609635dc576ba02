"""How often a world's verifier finds in generated media what the prompts say."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flagdit_core.errors import ConfigError
from flagdit_core.output import atomic_file
from flagdit_core.rates import Mean, Rate
from flagdit_core.world import World

T = TypeVar("T")

Generate = Callable[[Sequence[str], Sequence[int]], Sequence[Any]]
"""(prompts, one seed for each) -> one artifact for each."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One artifact's outcome: what was asked, each check as (kind, expected, found, passed), and what was measured."""

    prompt: str
    category: str
    seed: int
    passed: bool
    checks: tuple[tuple[str, str, str, bool], ...]
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Pass rates of one model.

    Attributes:
        overall: Prompts whose every check passed.
        by_category: The same, by the prompts' category.
        by_check: Single checks, by kind.
        by_category_and_check: Single checks, by category and then by kind.
        by_category_and_measure: Means of what was measured, by category and then by name.
        samples: Every outcome, in the order of the prompts.
    """

    overall: Rate
    by_category: Mapping[str, Rate]
    by_check: Mapping[str, Rate]
    by_category_and_check: Mapping[str, Mapping[str, Rate]]
    by_category_and_measure: Mapping[str, Mapping[str, Mean]]
    samples: Sequence[Sample]

    def as_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return {
            "overall": self.overall.as_dict(),
            "by_category": _as_dicts(self.by_category),
            "by_check": _as_dicts(self.by_check),
            "by_category_and_check": {name: _as_dicts(rates) for name, rates in self.by_category_and_check.items()},
            "by_category_and_measure": {name: _as_dicts(means) for name, means in self.by_category_and_measure.items()},
            "samples": [asdict(sample) for sample in self.samples],
        }

    def table(self) -> str:
        """Markdown tables, as in a model card: whole captions, and single checks and measures, by category."""
        passed = {"all captions": self.overall, **self.by_category}
        whole = [[name, f"{rate.passed}/{rate.total}", *_percent(rate, digits=1)] for name, rate in passed.items()]
        tables = [
            _markdown(["captions of which every check passed", "passed", "%", "95 % interval"], whole),
            _by_category("single checks, % and 95 % interval", self.by_category_and_check, self.by_check, _percent),
        ]
        if names := dict.fromkeys(name for means in self.by_category_and_measure.values() for name in means):
            tables.append(
                _by_category("mean and 95 % interval", self.by_category_and_measure, names, _mean_and_interval)
            )
        return "\n\n".join(tables)


def evaluate(
    generate: Generate,
    world: World,
    *,
    count: int,
    seed: int,
    batch_size: int = 50,
    on_batch: Callable[[Sequence[Any]], None] | None = None,
) -> Evaluation:
    """Pass rates over held-out prompts. Prompt i is generated with seed ``seed + i``.

    Args:
        generate: Makes one artifact for each prompt.
        world: Gives the prompts and judges the artifacts.
        count: Number of prompts, at least 1.
        seed: Picks the prompts, and the noise; at least 0.
        batch_size: Prompts generated at once, at least 1.
        on_batch: Called with each batch's artifacts.

    Returns:
        The evaluation.

    Raises:
        ConfigError: A number is too small.
    """
    for name, value, least in (("count", count, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
    prompts = world.prompts(count, seed=seed)
    samples: list[Sample] = []
    for start in range(0, count, batch_size):
        batch = prompts[start : start + batch_size]
        seeds = [seed + start + offset for offset in range(len(batch))]
        artifacts = generate([prompt.text for prompt in batch], seeds)
        for prompt, artifact, sample_seed in zip(batch, artifacts, seeds, strict=True):
            verdict = world.verify(artifact, prompt.text)
            checks = tuple((check.kind, check.expected, check.found, check.passed) for check in verdict.checks)
            samples.append(
                Sample(
                    prompt=prompt.text,
                    category=prompt.category,
                    seed=sample_seed,
                    passed=verdict.passed,
                    checks=checks,
                    measures=verdict.measures,
                )
            )
        if on_batch is not None:
            on_batch(artifacts)
    return summarize(samples)


def summarize(samples: Sequence[Sample]) -> Evaluation:
    """Pass rates of outcomes.

    Args:
        samples: At least one.

    Returns:
        The evaluation; categories and kinds in the order in which they first appear.
    """
    categories = {
        name: [sample for sample in samples if sample.category == name]
        for name in dict.fromkeys(sample.category for sample in samples)
    }
    return Evaluation(
        overall=Rate.of([sample.passed for sample in samples]),
        by_category={name: Rate.of([sample.passed for sample in group]) for name, group in categories.items()},
        by_check=_by_check(samples),
        by_category_and_check={name: _by_check(group) for name, group in categories.items()},
        by_category_and_measure={name: _by_measure(group) for name, group in categories.items()},
        samples=tuple(samples),
    )


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file, whole or not at all.

    Args:
        values: JSON-ready.
        path: The file; one that is there is replaced.

    Raises:
        OutputError: It cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _by_check(samples: Sequence[Sample]) -> dict[str, Rate]:
    """Rates of single checks by kind."""
    outcomes: dict[str, list[bool]] = {}
    for sample in samples:
        for kind, _, _, passed in sample.checks:
            outcomes.setdefault(kind, []).append(passed)
    return {kind: Rate.of(passed) for kind, passed in outcomes.items()}


def _by_measure(samples: Sequence[Sample]) -> dict[str, Mean]:
    """Means of what was measured, by name."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.measures.items():
            values.setdefault(name, []).append(value)
    return {name: Mean.of(found) for name, found in values.items()}


def _as_dicts(counted: Mapping[str, Rate | Mean]) -> dict[str, Any]:
    return {name: value.as_dict() for name, value in counted.items()}


def _percent(rate: Rate, *, digits: int = 0) -> tuple[str, str]:
    """A rate and its interval in per cent."""
    low, high = rate.interval
    return f"{100 * rate.value:.{digits}f}", f"({100 * low:.{digits}f} - {100 * high:.{digits}f})"


def _mean_and_interval(mean: Mean) -> tuple[str, str]:
    low, high = mean.interval
    return f"{mean.value:.2f}", f"({low:.2f} - {high:.2f})"


def _by_category(
    title: str, found: Mapping[str, Mapping[str, T]], names: Iterable[str], show: Callable[[T], tuple[str, str]]
) -> str:
    """A table with a row for each name and a column for each category; what a category has not stays empty."""
    rows = [[name, *(" ".join(show(own[name])) if name in own else "" for own in found.values())] for name in names]
    return _markdown([title, *found], rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned in plain text too: words on the left, numbers on the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in (head, rule, *rows)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
