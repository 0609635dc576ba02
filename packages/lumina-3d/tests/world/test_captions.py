"""Captions: speaking and reading are inverse, whatever the wording; other sentences are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError
from lumina_3d.world import CATEGORIES, Claims, ObjectClaim, describe, parse, sample_scene, swap_one


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), category=st.sampled_from(CATEGORIES))
def test_parse_inverts_describe(seed: int, category: str) -> None:
    """Every caption, canonical or in random words, asserts exactly its scene's claims, and is of its category."""
    generator = np.random.default_rng(seed)
    scene = sample_scene(generator, category=category, split="any")
    assert parse(describe(scene)) == parse(describe(scene, generator)) == scene.claims
    assert scene.claims.category == category


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_swap_changes_one_fact_and_can_still_be_said(seed: int) -> None:
    """Swapped claims differ from the true ones, keep the objects' number, and survive describe and parse."""
    generator = np.random.default_rng(seed)
    claims = sample_scene(generator, split="any").claims
    kind, wrong = swap_one(claims, generator)
    assert wrong != claims and len(wrong.objects) == len(claims.objects)
    assert parse(describe(wrong, generator)) == wrong
    changed = [
        name
        for before, after in zip(claims.objects, wrong.objects, strict=True)
        for name in ("shape", "color", "size")
        if getattr(before, name) != getattr(after, name)
    ]
    assert kind in ("relation", "order") or changed == [kind]


def test_wordings_vary() -> None:
    """One scene is told in many ways."""
    generator = np.random.default_rng(0)
    scene = sample_scene(generator, split="any")
    assert len({describe(scene, generator) for _ in range(30)}) > 5


def test_canonical_sentences() -> None:
    """Without a generator the plain words are used."""
    blue, red = ObjectClaim(shape="cone", color="blue", size="small"), ObjectClaim(shape="cube", color="red")
    assert describe(Claims(objects=(blue, red), relation="on")) == "a small blue cone on a red cube"
    orange = ObjectClaim(shape="torus", color="orange")
    assert describe(Claims(objects=(orange,))) == "an orange torus"


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a cube",
        "a red",
        "a red dog",
        "a red cube and a blue sphere",
        "a red cube on",
        "a red cube on a blue sphere",
        "a red cube beside a red cone",
        "a black cube",
    ],
)
def test_other_sentences_are_refused(caption: str) -> None:
    """What is not of the language, or cannot be, raises our error and says what was expected."""
    with pytest.raises(ConfigError, match=r"expected|nothing can stand"):
        parse(caption)
