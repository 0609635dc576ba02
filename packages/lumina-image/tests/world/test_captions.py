"""Captions: speaking and reading are inverse, whatever the wording; other sentences are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError
from lumina_image.world import Claims, ObjectClaim, RelationClaim, describe, parse, sample_scene, swap_one

CIRCLE = "a large red circle in the center on a white background"
PAIR = "a small red circle left of a large blue square on a yellow background"
THREE = "a red circle left of a blue square and a green star below the blue square on a black background"


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), aspect=st.sampled_from([0.5, 1.0, 2.0]))
def test_parse_inverts_describe(seed: int, aspect: float) -> None:
    """Every caption, canonical or in random words, asserts exactly the claims of its scene."""
    generator = np.random.default_rng(seed)
    scene = sample_scene(generator, aspect=aspect, split="any")
    assert parse(describe(scene)) == scene.claims
    assert parse(describe(scene, generator)) == scene.claims


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_swap_changes_one_fact_and_can_still_be_said(seed: int) -> None:
    """Swapped claims differ from the true ones, keep the objects' number, and survive describe and parse."""
    generator = np.random.default_rng(seed)
    claims = sample_scene(generator, split="any").claims
    _, swapped = swap_one(claims, generator)
    assert swapped.facts != claims.facts
    assert len(swapped.objects) == len(claims.objects)
    assert parse(describe(swapped, generator)) == swapped


@pytest.mark.parametrize("caption", [CIRCLE, PAIR, THREE])
def test_canonical_sentences(caption: str) -> None:
    """The canonical wording of a caption's claims is the caption itself."""
    assert describe(parse(caption)) == caption


def test_parse_reads_every_fact() -> None:
    """Sizes, colours, shapes, relation and background of the longer examples land in the right fields."""
    assert parse(PAIR) == Claims(
        objects=(
            ObjectClaim(shape="circle", color="red", size="small"),
            ObjectClaim(shape="square", color="blue", size="large"),
        ),
        relations=(RelationClaim(subject=0, relation="left of", reference=1),),
        background="yellow",
    )
    assert parse(THREE).relations[1] == RelationClaim(subject=2, relation="below", reference=1)


@pytest.mark.parametrize(
    "caption",
    [
        "A picture of a huge red disc in the middle, against a white backdrop.",
        "on a white background, a big red dot in the center",
        "a big red disk in the centre with a white background",
        "a large red circle on white in the middle",
    ],
)
def test_synonyms_of_the_first_example(caption: str) -> None:
    """Different words for the same thing assert the same."""
    assert parse(caption) == parse(CIRCLE)


@pytest.mark.parametrize(
    ("caption", "canonical"),
    [
        ("a tiny violet donut", "a small purple ring"),
        ("a little turquoise plus sign", "a small cyan cross"),
        ("a medium-sized red box on a grey backdrop", "a medium red square on a gray background"),
        ("a dot over a box", "a circle above a square"),
        ("a star beneath a heart", "a star below a heart"),
        ("a star to the left of a heart", "a star left of a heart"),
        ("a star on the right side of a heart", "a star right of a heart"),
        ("a star on the right side", "a star on the right"),
        ("a star in the upper-left corner", "a star in the top left corner"),
        ("the red circle left of the blue square", "a red circle left of a blue square"),
        ("an orange star and a heart", "an orange star and a heart"),
    ],
)
def test_synonyms(caption: str, canonical: str) -> None:
    """Each synonym means its canonical word."""
    assert describe(parse(caption)) == canonical


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a snowman of red balls",
        "a red",
        "a red circle left of",
        "a red circle and",
        "a red circle on a brown background",
        "a red circle on a white background on a black background",
        "a red circle at the top at the bottom",
        "a red circle left of a blue circle and a star above the circle",
        "a star and a heart and a ring and a cross",
        "two red circles",
        "a white circle",
        "a red circle left of the red circle",
    ],
)
def test_sentences_outside_the_language_are_refused(caption: str) -> None:
    """Unknown words, unfinished sentences, contradictions, ambiguity and too many objects raise our error."""
    with pytest.raises(ConfigError):
        parse(caption)
