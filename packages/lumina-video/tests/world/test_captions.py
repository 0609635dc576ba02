"""Captions: speaking and reading are inverse, whatever the wording; other sentences are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError
from lumina_video.world import Claims, ObjectClaim, describe, parse, sample_scene, swap_one
from lumina_video.world.vocabulary import CATEGORIES, MOTION_PHRASES, TWO_OBJECTS

KINDS = (*CATEGORIES, TWO_OBJECTS)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), category=st.sampled_from(KINDS))
def test_parse_inverts_describe(seed: int, category: str) -> None:
    """Every caption, canonical or in random words, asserts exactly its scene's claims, and is of its category."""
    generator = np.random.default_rng(seed)
    scene = sample_scene(generator, category=category, split="any")
    assert parse(describe(scene)) == scene.claims
    assert parse(describe(scene, generator)) == scene.claims
    assert scene.claims.category == category


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


@pytest.mark.parametrize(
    ("motion", "phrase"), [(m, phrase) for m, all_ in MOTION_PHRASES.items() for phrase in dict.fromkeys((*all_, m))]
)
def test_every_phrase_means_its_motion(motion: str, phrase: str) -> None:
    """Each way to say a motion, and its own name, is read as it, alone and between the other parts of a sentence."""
    assert parse(f"a red heart {phrase}").objects == (ObjectClaim(shape="heart", motion=motion, color="red"),)
    two = parse(f"on white, a red heart {phrase} and the blue box {phrase}.")
    assert [item.motion for item in two.objects] == [motion, motion] and two.background == "white"


@pytest.mark.parametrize(
    "caption",
    [
        "a red circle moves from left to right on a white background",
        "a small purple star stays still on a black background",
        "a triangle turns clockwise",
        "a red circle moves from left to right and a blue square stays still on a gray background",
    ],
)
def test_canonical_sentences(caption: str) -> None:
    """The canonical wording of a caption's claims is the caption itself."""
    assert describe(parse(caption)) == caption


def test_parse_reads_every_fact() -> None:
    """Sizes, colours, shapes, motions and background land in the right fields, in order of mention."""
    assert parse(
        "Against a grey backdrop, a tiny violet donut rests, the big cyan plus sign swings from side to side."
    ) == (
        Claims(
            objects=(
                ObjectClaim(shape="ring", motion="stays still", color="purple", size="small"),
                ObjectClaim(shape="cross", motion="bounces from side to side", color="cyan", size="large"),
            ),
            background="gray",
        )
    )


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a dragon flies",
        "a red circle",
        "a red circle moves",
        "moves from left to right",
        "a red moves up",
        "a red circle moves up and",
        "a red circle moves up on a brown background",
        "a red circle moves up on white on black",
        "a white circle moves up",
        "a large circle grows",
        "a star rests and a heart rests and a ring rests",
        "a red star rests and a red heart rests",
        "a star rests and a heart rests",
        "a red circle moves up moves down",
    ],
)
def test_sentences_outside_the_language_are_refused(caption: str) -> None:
    """Unknown words, missing motions, contradictions, ambiguity and too many objects raise our error."""
    with pytest.raises(ConfigError):
        parse(caption)
