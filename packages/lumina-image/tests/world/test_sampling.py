"""Scenes: what they claim is true, they fit their picture, and the splits stay apart."""

import math
from itertools import combinations

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, HELD_OUT_PAIRS, SHAPES, SIZES, size_of
from lumina_image.world import Scene, draw, is_held_out, parse, sample_scene
from lumina_image.world.geometry import picture_extent, place_of, relation_of

ASPECTS = (0.5, 1.0, 1.5)


def _scenes(count: int, *, aspect: float = 1.0, split: str = "any", seed: int = 0) -> list[Scene]:
    generator = np.random.default_rng(seed)
    return [sample_scene(generator, aspect=aspect, split=split) for _ in range(count)]


def test_vocabulary_is_the_published_one() -> None:
    """The words and colours that others rely on are unchanged."""
    assert SHAPES == ("circle", "square", "triangle", "star", "ring", "cross", "heart")
    assert COLORS == {
        "red": (214, 39, 40),
        "orange": (255, 140, 20),
        "yellow": (245, 225, 50),
        "green": (40, 160, 60),
        "blue": (35, 80, 215),
        "purple": (130, 45, 170),
        "cyan": (70, 215, 225),
        "pink": (250, 150, 195),
    }
    assert BACKGROUNDS == {**COLORS, "white": (248, 248, 248), "black": (12, 12, 12), "gray": (128, 128, 128)}
    assert SIZES == {"small": 0.14, "medium": 0.20, "large": 0.28}


@pytest.mark.parametrize("aspect", ASPECTS)
def test_claims_are_true_of_the_scene(aspect: float) -> None:
    """Every shape, colour, size, place, relation and background that a scene claims is what its objects have."""
    width, height = picture_extent(aspect)
    for scene in _scenes(300, aspect=aspect):
        assert len(scene.claims.objects) == len(scene.objects)
        assert scene.claims.background in (None, scene.background)
        for claim, item in zip(scene.claims.objects, scene.objects, strict=True):
            assert claim.shape == item.shape
            assert claim.color in (None, item.color)
            assert claim.size in (None, size_of(item.radius))
            assert claim.place in (None, place_of(item.x, item.y))
        for relation in scene.claims.relations:
            subject, reference = scene.objects[relation.subject], scene.objects[relation.reference]
            offset = (subject.x - reference.x) * width, (subject.y - reference.y) * height
            assert relation_of(*offset) == relation.relation


@pytest.mark.parametrize("aspect", ASPECTS)
def test_objects_fit_apart_and_visible(aspect: float) -> None:
    """Boxes lie inside the picture and apart from one another, and no object has nearly the background's colour."""
    width, height = picture_extent(aspect)
    for scene in _scenes(300, aspect=aspect):
        for item in scene.objects:
            assert item.radius < item.x * width < width - item.radius
            assert item.radius < item.y * height < height - item.radius
            assert math.dist(COLORS[item.color], BACKGROUNDS[scene.background]) >= 90
        for a, b in combinations(scene.objects, 2):
            distance = max(abs(a.x - b.x) * width, abs(a.y - b.y) * height)
            assert distance > a.radius + b.radius
            assert (a.color, a.shape) != (b.color, b.shape)


def test_one_two_and_three_objects_claim_places_and_relations() -> None:
    """Places are told of single objects only; two objects have at most one relation, three have two."""
    seen = set()
    for scene in _scenes(500):
        seen.add((len(scene.objects), len(scene.claims.relations)))
        if len(scene.objects) > 1:
            assert all(claim.place is None for claim in scene.claims.objects)
    assert seen == {(1, 0), (2, 0), (2, 1), (3, 2)}


def test_curriculum_weights_choose_the_number_of_objects() -> None:
    """A weight of zero excludes a number of objects, and num_objects overrides the weights."""
    generator = np.random.default_rng(0)
    assert {len(sample_scene(generator, weights=(1, 0, 0)).objects) for _ in range(50)} == {1}
    assert {len(sample_scene(generator, weights=(0, 1, 1)).objects) for _ in range(50)} == {2, 3}
    assert len(sample_scene(generator, weights=(1, 0, 0), num_objects=3).objects) == 3


def test_splits_are_disjoint() -> None:
    """No training scene shows a held-out pair or asserts what a held-out caption asserts."""
    train, held_out = _scenes(1500, split="train"), _scenes(300, split="held_out", seed=1)
    assert not any(is_held_out(scene.claims) for scene in train)
    assert not any((item.color, item.shape) in HELD_OUT_PAIRS for scene in train for item in scene.objects)
    assert all(is_held_out(scene.claims) for scene in held_out)
    assert not {scene.claims.facts for scene in train} & {scene.claims.facts for scene in held_out}


def test_whole_combinations_are_held_out_beside_the_pairs() -> None:
    """About 5 % of the sentences without a held-out pair are held out too."""
    claims = [scene.claims for scene in _scenes(4000)]
    without_pair = [c for c in claims if not any((o.color, o.shape) in HELD_OUT_PAIRS for o in c.objects)]
    share = sum(map(is_held_out, without_pair)) / len(without_pair)
    assert 0.035 < share < 0.065


def test_holding_out_depends_on_what_is_said_only() -> None:
    """The same facts, from the other object's side, in another order or in other words, fall in the same split."""
    first = parse("a red circle left of a blue square and a green star above the blue square")
    second = parse("a blue box under a green star, the blue box on the right of a red dot")
    other = parse("a red circle left of a blue square and a green star above the red circle")
    assert first.facts == second.facts != other.facts


def test_held_out_pairs_are_held_out_in_any_sentence() -> None:
    """Naming a held-out colour and shape of one object is enough; the same words on two objects are not."""
    assert all(is_held_out(parse(f"a {color} {shape}")) for color, shape in HELD_OUT_PAIRS)
    assert is_held_out(parse("a red circle left of a green triangle on a black background"))
    assert not is_held_out(parse("a green circle left of a red triangle on a black background"))


@pytest.mark.parametrize(
    ("offset", "relation"),
    [((-1, 0.9), "left of"), ((1, -0.9), "right of"), ((0.9, -1), "above"), ((-0.9, 1), "below")],
)
def test_the_larger_part_of_an_offset_decides_the_relation(offset: tuple[float, float], relation: str) -> None:
    """Diagonal offsets belong to the axis that they follow more, y pointing down."""
    assert relation_of(*offset) == relation


def test_examples_of_the_readme_are_trained_on() -> None:
    """The sentences that the documentation shows are not held out."""
    assert not is_held_out(parse("a large red circle in the center on a white background"))
    assert not is_held_out(parse("a small red circle left of a large blue square on a yellow background"))
    assert not is_held_out(parse("a red circle left of a blue square"))


def test_scenes_are_a_pure_function_of_the_generator() -> None:
    """Equal seeds give equal scenes and equal pictures, other seeds give others."""
    first, again, other = _scenes(20), _scenes(20), _scenes(20, seed=7)
    assert first == again != other
    assert all(np.array_equal(draw(a, 48, 48), draw(b, 48, 48)) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    "options", [{"num_objects": 4}, {"weights": (0, 0, 0)}, {"weights": (1, 1)}, {"aspect": 9.0}, {"split": "test"}]
)
def test_wrong_arguments_are_refused(options: dict[str, object]) -> None:
    """Each argument out of range raises our error."""
    with pytest.raises(ConfigError, match="expected"):
        sample_scene(np.random.default_rng(0), **options)
