"""Pass rates, their intervals and their counting."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.evaluation import evaluate
from flagdit_core.rates import Mean, Rate
from flagdit_core.world import Check, Prompt, Verdict


@pytest.mark.parametrize(
    ("passed", "total", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341), (81, 263, 0.25529, 0.36621)],
)
def test_wilson_interval(passed: int, total: int, low: float, high: float) -> None:
    """Known values; 81 of 263 is the worked example of Newcombe 1998 (Statistics in Medicine 17, 857), method 3."""
    assert Rate(passed=passed, total=total).interval == pytest.approx((low, high), abs=5e-5)


class NumberWorld:
    """Prompts are numbers; an artifact passes if it equals its prompt's number, except for the prompt 3."""

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Numbers from the seed on."""
        return [Prompt(text=str(seed + number), category="low" if number < 2 else "high") for number in range(count)]

    def verify(self, artifact: int, prompt: str) -> Verdict:
        """Two checks."""
        same = artifact == int(prompt)
        return Verdict(
            checks=(
                Check(kind="number", expected=prompt, found=str(artifact), passed=same),
                Check(kind="three", expected="not 3", found=prompt, passed=prompt != "3"),
            )
        )


def test_counts_by_category_and_check() -> None:
    """Every prompt is generated once with its own seed, in batches, and counted where it belongs."""
    calls: list[tuple[list[str], list[int]]] = []

    def generate(prompts: Sequence[str], seeds: Sequence[int]) -> list[int]:
        calls.append((list(prompts), list(seeds)))
        return [int(prompt) for prompt in prompts]

    batches: list[Sequence[int]] = []
    evaluation = evaluate(generate, NumberWorld(), count=5, seed=1, batch_size=2, on_batch=batches.append)
    assert calls == [(["1", "2"], [1, 2]), (["3", "4"], [3, 4]), (["5"], [5])]
    assert batches == [[1, 2], [3, 4], [5]]
    assert evaluation.overall == Rate(passed=4, total=5)
    assert evaluation.by_category == {"low": Rate(passed=2, total=2), "high": Rate(passed=2, total=3)}
    assert evaluation.by_check == {"number": Rate(passed=5, total=5), "three": Rate(passed=4, total=5)}
    assert evaluation.by_category_and_check["high"]["three"] == Rate(passed=2, total=3)
    assert evaluation.samples[2].checks[1] == ("three", "not 3", "3", False)


def test_the_tables() -> None:
    """Whole captions by category, then single checks in each of them, in per cent with their intervals."""
    table = evaluate(lambda prompts, seeds: [0] * len(prompts), NumberWorld(), count=3, seed=1).table()
    assert table.splitlines() == [
        "| captions of which every check passed | passed |   % | 95 % interval |",
        "| :----------------------------------- | -----: | --: | ------------: |",
        "| all captions                         |    0/3 | 0.0 |  (0.0 - 56.1) |",
        "| low                                  |    0/2 | 0.0 |  (0.0 - 65.8) |",
        "| high                                 |    0/1 | 0.0 |  (0.0 - 79.3) |",
        "",
        "| single checks, % and 95 % interval |            low |       high |",
        "| :--------------------------------- | -------------: | ---------: |",
        "| number                             |     0 (0 - 66) | 0 (0 - 79) |",
        "| three                              | 100 (34 - 100) | 0 (0 - 79) |",
    ]


def test_measures() -> None:
    """What is measured changes no rate; its means stand by category in a table of their own."""

    class MeasuringWorld(NumberWorld):
        def verify(self, artifact: int, prompt: str) -> Verdict:
            return replace(super().verify(artifact, prompt), measures={"size": float(artifact)})

    plain, measured = (
        evaluate(lambda prompts, seeds: [int(prompt) for prompt in prompts], world, count=4, seed=1)
        for world in (NumberWorld(), MeasuringWorld())
    )
    assert measured.by_category_and_check == plain.by_category_and_check
    assert measured.by_category_and_measure["low"]["size"] == Mean(
        value=1.5, deviation=pytest.approx(0.5**0.5), total=2
    )
    assert measured.table() == plain.table() + "\n\n" + "\n".join(
        (
            "| mean and 95 % interval |                low |               high |",
            "| :--------------------- | -----------------: | -----------------: |",
            "| size                   | 1.50 (0.52 - 2.48) | 3.50 (2.52 - 4.48) |",
        )
    )


def test_the_mean_of_one_value() -> None:
    """It has no spread."""
    assert Mean.of([2.0]).interval == (2.0, 2.0)


def test_numbers_that_are_too_small() -> None:
    """No captions, empty batches and seeds below zero are refused."""
    for numbers in ({"count": 0}, {"count": 1, "batch_size": 0}, {"count": 1, "seed": -1}):
        with pytest.raises(ConfigError, match=r"must be at least [01], got"):
            evaluate(lambda prompts, seeds: [], NumberWorld(), **({"seed": 0} | numbers))
