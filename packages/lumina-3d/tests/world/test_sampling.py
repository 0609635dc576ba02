"""Scenes: what they claim is true, every word occurs, and the splits stay apart."""

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.shapes.vocabulary import COLORS
from lumina_3d.world import (
    CATEGORIES,
    HELD_OUT_MEETINGS,
    HELD_OUT_PAIRS,
    Scene,
    is_held_out,
    parse,
    sample_scene,
)
from lumina_3d.world.vocabulary import SHAPES


def _scenes(count: int, *, split: str = "any", seed: int = 0) -> list[Scene]:
    generator = np.random.default_rng(seed)
    return [sample_scene(generator, split=split) for _ in range(count)]


def test_claims_are_true_of_the_scene() -> None:
    """What a caption says is what the scene has; sizes are sometimes left out, colours never."""
    told = 0
    for scene in _scenes(300):
        for claim, item in zip(scene.claims.objects, scene.objects, strict=True):
            assert (claim.shape, claim.color) == (item.shape, item.color)
            assert claim.size in (None, item.size)
            told += claim.size is not None
    assert 0.65 < told / sum(len(scene.objects) for scene in _scenes(300)) < 0.85


def test_categories_and_weights() -> None:
    """Every category occurs, a weight of zero excludes one, and asking for one gives it."""
    assert {scene.claims.category for scene in _scenes(100)} == set(CATEGORIES)
    generator = np.random.default_rng(0)
    assert {sample_scene(generator, weights=(1, 0, 0)).claims.category for _ in range(30)} == {"one object"}
    assert sample_scene(generator, category="side by side").claims.relation == "beside"


def test_splits_are_disjoint() -> None:
    """Training shows no held-out pair or meeting and asserts nothing that a held-out caption asserts."""
    train, held_out = _scenes(1500, split="train"), _scenes(300, split="held_out", seed=1)
    assert not any(is_held_out(scene.claims) for scene in train)
    for scene in train:
        assert not any((item.color, item.shape) in HELD_OUT_PAIRS for item in scene.objects)
        if scene.claims.relation is not None:
            first, second = scene.objects
            assert (first.shape, scene.claims.relation, second.shape) not in HELD_OUT_MEETINGS
    assert all(is_held_out(scene.claims) for scene in held_out)
    assert not {scene.claims.facts for scene in train} & {scene.claims.facts for scene in held_out}


def test_training_shows_every_word() -> None:
    """Each shape and each colour occurs in training, so that held-out combinations can be understood."""
    items = [item for scene in _scenes(300, split="train") for item in scene.objects]
    assert {item.shape for item in items} == set(SHAPES)
    assert {item.color for item in items} == set(COLORS)


def test_examples_of_the_documentation_are_trained_on() -> None:
    """The sentences that the documentation shows are not held out."""
    assert not is_held_out(parse("a blue cone on a red cube"))
    assert not is_held_out(parse("a small green sphere beside a yellow torus"))


def test_scenes_are_a_pure_function_of_the_generator() -> None:
    """Equal seeds give equal scenes, other seeds others."""
    assert _scenes(20) == _scenes(20) != _scenes(20, seed=7)


@pytest.mark.parametrize(
    "options", [{"category": "three"}, {"weights": (0, 0, 0)}, {"weights": (1, 1)}, {"split": "x"}]
)
def test_wrong_arguments_are_refused(options: dict[str, object]) -> None:
    """Each argument out of range raises our error."""
    with pytest.raises(ConfigError, match="expected"):
        sample_scene(np.random.default_rng(0), **options)
