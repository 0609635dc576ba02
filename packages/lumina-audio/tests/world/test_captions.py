"""Captions: speaking and reading are inverse, whatever the wording; other sentences are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError
from lumina_audio.world import CATEGORIES, Claims, EventClaim, describe, parse, sample_scene, swap_one

BEEPS = "three short high beeps, then a low bell"


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), category=st.sampled_from(CATEGORIES))
def test_parse_inverts_describe(seed: int, category: str) -> None:
    """Every caption, canonical or in random words, asserts exactly the claims of its scene."""
    generator = np.random.default_rng(seed)
    scene = sample_scene(generator, category=category, split="any")
    assert parse(describe(scene)) == scene.claims
    assert parse(describe(scene, generator)) == scene.claims


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), category=st.sampled_from(CATEGORIES))
def test_a_swap_changes_one_fact_and_can_still_be_said(seed: int, category: str) -> None:
    """Swapped claims differ from the true ones, keep the events' number, and survive describe and parse."""
    generator = np.random.default_rng(seed)
    claims = sample_scene(generator, category=category, split="any").claims
    _, swapped = swap_one(claims, generator)
    assert swapped != claims
    assert len(swapped.events) == len(claims.events)
    assert parse(describe(swapped, generator)) == swapped


@pytest.mark.parametrize(
    "caption",
    [
        BEEPS,
        'a loud deep voice says "three five"'.replace("deep", "low"),
        "a galloping rhythm of clicks",
        "a long hiss",
    ],
)
def test_canonical_sentences(caption: str) -> None:
    """The canonical wording of a caption's claims is the caption itself."""
    assert describe(parse(caption)) == caption


def test_parse_reads_every_fact() -> None:
    """Count, length, pitch, loudness, words and order land in the right fields."""
    assert parse('two soft short high beeps, then a loud low voice says "one two"') == Claims(
        events=(
            EventClaim(kind="beep", count=2, pitch="high", length="short", loudness="soft"),
            EventClaim(kind="speech", pitch="low", loudness="loud", words=("one", "two")),
        )
    )


@pytest.mark.parametrize(
    ("caption", "canonical"),
    [
        ("The sound of three high-pitched, brief blips followed by a deep chime.", BEEPS),
        ("three high short beeps and then one low bell", BEEPS),
        ("a recording of an upward sweep then a sweep down", "a rising sweep, then a falling sweep"),
        ("a quiet noise burst", "a soft burst of noise"),
        ("a rapid clicking rhythm", "a fast rhythm of clicks"),
        ("a deep voice saying \u2018zero, nine\u2019", 'a low voice says "zero nine"'),
        ("an extended mid note", "a long middle tone"),
    ],
)
def test_synonyms(caption: str, canonical: str) -> None:
    """Each wording means its canonical sentence."""
    assert describe(parse(caption)) == canonical


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a dog barks",
        "three",
        "a beep a bell",
        "a beep then",
        "then a beep",
        "five beeps",
        "two hisses",
        "a high low beep",
        "a short bell",
        "a high hiss",
        "a rhythm of clicks",
        "a fast beep",
        "a voice says",
        'a voice says "hello"',
        'a voice says "one two three four"',
        "a beep, then a bell, then a beep, then a bell",
    ],
)
def test_sentences_outside_the_language_are_refused(caption: str) -> None:
    """Unknown words, unfinished sentences, contradictions and facts that a kind cannot have raise our error."""
    with pytest.raises(ConfigError, match="not in the sound world's language"):
        parse(caption)
