"""How often a world's verifier finds in generated media what the prompts say."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flagdit_core.errors import ConfigError
from flagdit_core.output import atomic_file
from flagdit_core.world import World

Generate = Callable[[Sequence[str], Sequence[int]], Sequence[Any]]
"""(prompts, one seed for each) -> one artifact for each."""

_Z_95 = 1.959963984540054  # the standard normal's 97.5 % quantile


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many of how many passed.

    Attributes:
        passed: Number that passed.
        total: Number that were checked, at least 1.

    Example:
        >>> low, high = Rate(passed=9, total=10).interval
        >>> round(low, 3), round(high, 3)
        (0.596, 0.982)
    """

    passed: int
    total: int

    @property
    def value(self) -> float:
        """The share that passed, in [0, 1]."""
        return self.passed / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
        n, p, z2 = self.total, self.value, _Z_95**2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z_95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def as_dict(self) -> dict[str, Any]:
        """Count, share and interval, JSON-ready."""
        return {**asdict(self), "rate": self.value, "interval_95": list(self.interval)}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One artifact's outcome: what was asked, and each check as (kind, expected, found, passed)."""

    prompt: str
    category: str
    seed: int
    passed: bool
    checks: tuple[tuple[str, str, str, bool], ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Pass rates of one model.

    Attributes:
        overall: Prompts whose every check passed.
        by_category: The same, by the prompts' category.
        by_check: Single checks, by kind.
        by_category_and_check: Single checks, by category and then by kind.
        samples: Every outcome, in the order of the prompts.
    """

    overall: Rate
    by_category: Mapping[str, Rate]
    by_check: Mapping[str, Rate]
    by_category_and_check: Mapping[str, Mapping[str, Rate]]
    samples: Sequence[Sample]

    def as_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return {
            "overall": self.overall.as_dict(),
            "by_category": _as_dicts(self.by_category),
            "by_check": _as_dicts(self.by_check),
            "by_category_and_check": {name: _as_dicts(rates) for name, rates in self.by_category_and_check.items()},
            "samples": [asdict(sample) for sample in self.samples],
        }

    def table(self) -> str:
        """Two Markdown tables, as in a model card: whole captions by category, and single checks in each of them."""
        passed = {"all captions": self.overall, **self.by_category}
        whole = [[name, f"{rate.passed}/{rate.total}", *_percent(rate, digits=1)] for name, rate in passed.items()]
        by_category = self.by_category_and_check.values()
        single = [
            [kind, *(" ".join(_percent(checks[kind])) if kind in checks else "" for checks in by_category)]
            for kind in self.by_check
        ]
        return "\n\n".join(
            (
                _markdown(["captions of which every check passed", "passed", "%", "95 % interval"], whole),
                _markdown(["single checks, % and 95 % interval", *self.by_category_and_check], single),
            )
        )


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
        seed: Picks the prompts, and the noise.
        batch_size: Prompts generated at once, at least 1.
        on_batch: Called with each batch's artifacts.

    Returns:
        The evaluation.

    Raises:
        ConfigError: A number is not positive.
    """
    for name, value in (("count", count), ("batch_size", batch_size)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")
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
                    prompt=prompt.text, category=prompt.category, seed=sample_seed, passed=verdict.passed, checks=checks
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
        overall=_rate([sample.passed for sample in samples]),
        by_category={name: _rate([sample.passed for sample in group]) for name, group in categories.items()},
        by_check=_by_check(samples),
        by_category_and_check={name: _by_check(group) for name, group in categories.items()},
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
    return {kind: _rate(passed) for kind, passed in outcomes.items()}


def _rate(outcomes: Sequence[bool]) -> Rate:
    return Rate(passed=sum(outcomes), total=len(outcomes))


def _as_dicts(rates: Mapping[str, Rate]) -> dict[str, Any]:
    return {name: rate.as_dict() for name, rate in rates.items()}


def _percent(rate: Rate, *, digits: int = 0) -> tuple[str, str]:
    """A rate and its interval in per cent."""
    low, high = rate.interval
    return f"{100 * rate.value:.{digits}f}", f"({100 * low:.{digits}f} - {100 * high:.{digits}f})"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned in plain text too: words on the left, numbers on the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in (head, rule, *rows)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
