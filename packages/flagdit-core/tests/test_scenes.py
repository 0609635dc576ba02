"""Random scenes, what is held out of training, prompts in turn and pass rates."""

from collections import Counter

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.scenes import PassRates, draw_scene, is_among, pick, pick_other, pick_weighted, prompts_in_turn

WORDS = ("red", "green", "blue")


def test_choices_have_their_shares() -> None:
    """All are equally likely, or by their weights; excluded words never come."""
    generator = np.random.default_rng(0)
    even = Counter(pick(generator, WORDS) for _ in range(3000))
    assert set(even) == set(WORDS) and max(even.values()) - min(even.values()) < 150
    other = Counter(pick_other(generator, WORDS, {"green", None}) for _ in range(1000))
    assert set(other) == {"red", "blue"}
    weighted = Counter(pick_weighted(generator, WORDS, (1, 0, 3)) for _ in range(4000))
    assert weighted["green"] == 0 and abs(weighted["blue"] - 3000) < 150


@pytest.mark.parametrize("weights", [(1, 1), (1, -1, 1), (0, 0, 0)])
def test_impossible_weights(weights: tuple[float, ...]) -> None:
    """One weight each, none negative, not all zero."""
    with pytest.raises(ConfigError, match="expected 3 weights"):
        pick_weighted(np.random.default_rng(0), WORDS, weights)


def test_scenes_of_a_split() -> None:
    """Attempts that fail, or are of another split or of none, are passed over; "any" takes all that do not fail."""
    numbers = iter([None, 1, 3, 2, 4, 6, None, 5, 9])
    splits = {0: "train", 1: "held_out", 2: None}
    drawn = [
        draw_scene(lambda: next(numbers), split, lambda n: splits[n % 3]) for split in ("train", "held_out", "any")
    ]
    assert drawn == [3, 4, 6]
    assert draw_scene(lambda: next(numbers), "any", lambda n: splits[n % 3]) == 5
    with pytest.raises(ConfigError, match="'held_out' or 'any', got 'test'"):
        draw_scene(lambda: next(numbers), "test", lambda n: None)


def test_a_fraction_of_all_combinations() -> None:
    """The share is as asked, depends on the facts and their order alone, and grows with the fraction."""
    facts = [(f"object: {number}", "background: red") for number in range(4000)]
    few, more = ([is_among(each, fraction) for each in facts] for fraction in (0.05, 0.2))
    assert abs(sum(few) / 4000 - 0.05) < 0.012 and abs(sum(more) / 4000 - 0.2) < 0.02
    assert all(b for a, b in zip(few, more, strict=True) if a)
    assert not any(is_among(each, 0.0) for each in facts) and all(is_among(each, 1.0) for each in facts)


def test_prompts_come_in_turn() -> None:
    """One of each category after another; fewer are the beginning of more; a negative count is refused."""

    def caption(generator: np.random.Generator, category: str) -> str:
        return f"{category} {generator.integers(1000)}"

    more, fewer = (prompts_in_turn(count, WORDS, caption, seed=3) for count in (7, 4))
    assert [prompt.category for prompt in more] == ["red", "green", "blue"] * 2 + ["red"]
    assert all(prompt.text.startswith(prompt.category) for prompt in more)
    assert more[:4] == fewer and prompts_in_turn(7, WORDS, caption, seed=4) != more
    with pytest.raises(ConfigError, match="0 or more, got -1"):
        prompts_in_turn(-1, WORDS, caption, seed=0)


def test_pass_rates() -> None:
    """Each answer counts in its group and in all of its kind; a kind that was never asked about is empty."""
    rates = PassRates("right", "swapped", "extra")
    for group, passed in (("two", True), ("one", True), ("one", False), ("one", True)):
        rates.add("right", group, passed)
    rates.add("swapped", "color", False)
    assert rates.as_dict() == {
        "right": {"all": 0.75, "one": 2 / 3, "two": 1.0},
        "swapped": {"all": 0.0, "color": 0.0},
        "extra": {},
    }
