"""Scenes: what they claim is true, they fit their picture all the time, and the splits stay apart."""

import math

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.shapes.drawing import SYMMETRY
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, size_of
from lumina_video.world import HELD_OUT_MOTIONS, FilmWorld, Scene, describe, draw, is_held_out, parse, sample_scene
from lumina_video.world.drawing import pose
from lumina_video.world.splits import shows_held_out_pair
from lumina_video.world.vocabulary import CATEGORIES, MOTIONS, TWO_OBJECTS

KINDS = (*CATEGORIES, TWO_OBJECTS)


def _scenes(count: int, *, split: str = "any", seed: int = 0) -> list[Scene]:
    generator = np.random.default_rng(seed)
    return [sample_scene(generator, category=KINDS[number % len(KINDS)], split=split) for number in range(count)]


def test_claims_are_true_of_the_scene() -> None:
    """Every shape, colour, size, motion and background that a scene claims is what its actors have."""
    motions = set()
    for scene in _scenes(700):
        assert len(scene.claims.objects) == len(scene.actors)
        assert scene.claims.background in (None, scene.background)
        for claim, actor in zip(scene.claims.objects, scene.actors, strict=True):
            assert (claim.shape, claim.motion) == (actor.shape, actor.motion)
            assert claim.color in (None, actor.color)
            assert claim.size in (None, size_of(actor.radius))
            motions.add(claim.motion)
    assert motions == set(MOTIONS)


def test_poses_do_what_the_motion_says() -> None:
    """Between beginning and end each motion changes its own quantity in its own direction, and nothing else."""
    for actor in (actor for scene in _scenes(350) for actor in scene.actors):
        first, middle, last = (pose(actor, phase) for phase in (0.0, 0.5, 1.0))
        names = ("x", "y", "radius", "angle", "opacity")
        change = {name: round(getattr(last, name) - getattr(first, name), 6) for name in names}
        swing = {name: round(getattr(middle, name) - getattr(first, name), 6) for name in names}
        changed = {name: math.copysign(1, value) for name, value in change.items() if value}
        expected = {
            "moves right": {"x": 1}, "moves left": {"x": -1}, "moves down": {"y": 1}, "moves up": {"y": -1},
            "grows": {"radius": 1}, "shrinks": {"radius": -1}, "fades in": {"opacity": 1}, "fades out": {"opacity": -1},
            "turns clockwise": {"angle": 1}, "turns counterclockwise": {"angle": -1},
        }  # fmt: skip
        assert changed == expected.get(actor.motion, {}), actor.motion
        if actor.motion.startswith("bounces"):
            (axis,) = [name for name, value in swing.items() if value]
            assert axis == ("y" if "down" in actor.motion else "x")
            assert abs(swing[axis]) > 0.3
        if actor.motion.startswith("turns"):
            assert SYMMETRY[actor.shape]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (64, 112)])
def test_objects_stay_inside_and_visible(width: int, height: int) -> None:
    """Nothing ever touches the edge, and colours are apart from the background's and from one another."""
    for scene in _scenes(42, seed=width):
        film = draw(scene, 9, width, height)
        edge = np.concatenate([film[:, 0], film[:, -1], film[:, :, 0], film[:, :, -1]], axis=1)
        assert (edge == BACKGROUNDS[scene.background]).all(), describe(scene)
        colors = [BACKGROUNDS[scene.background], *(COLORS[actor.color] for actor in scene.actors)]
        assert all(math.dist(a, b) >= 100 for i, a in enumerate(colors) for b in colors[:i])


def test_two_objects_keep_to_their_halves() -> None:
    """The first object is above the middle in every frame and the second below."""
    for scene in (scene for scene in _scenes(140) if len(scene.actors) == 2):
        for phase in np.linspace(0, 1, 9):
            upper, lower = (pose(actor, float(phase)) for actor in scene.actors)
            assert upper.y + upper.radius < 0.5 < lower.y - lower.radius


def test_splits_are_disjoint() -> None:
    """No training scene shows a held-out pair or asserts what a held-out caption asserts."""
    train, held_out = _scenes(1400, split="train"), _scenes(350, split="held_out", seed=1)
    assert not any(is_held_out(scene.claims) for scene in train)
    assert not any(
        shows_held_out_pair(actor.color, actor.shape, actor.motion) for scene in train for actor in scene.actors
    )
    assert all(is_held_out(scene.claims) for scene in held_out)
    assert not {scene.claims.facts for scene in train} & {scene.claims.facts for scene in held_out}


def test_holding_out_depends_on_what_is_said_only() -> None:
    """The same facts in another order or other words fall in the same split; a held-out pair does in any sentence."""
    first = parse("a red circle moves from left to right and a blue square stays still on a white background")
    second = parse("on white, the blue box rests, a red dot goes right")
    assert first.facts == second.facts
    assert is_held_out(first) == is_held_out(second)
    assert all(is_held_out(parse(f"a red {shape} {motion}")) for shape, motion in HELD_OUT_MOTIONS)


def test_whole_combinations_are_held_out_beside_the_pairs() -> None:
    """About 5 % of the sentences without a held-out pair are held out too."""
    claims = [scene.claims for scene in _scenes(4200)]
    pairless = [c for c in claims if not any(shows_held_out_pair(o.color, o.shape, o.motion) for o in c.objects)]
    assert 0.035 < sum(map(is_held_out, pairless)) / len(pairless) < 0.065


def test_scenes_and_films_are_pure_functions() -> None:
    """Equal seeds give equal scenes and films, other seeds give others; a film is its frames at their phases."""
    first, again, other = _scenes(14), _scenes(14), _scenes(14, seed=7)
    assert first == again != other
    short, long = draw(first[0], 5, 48, 48), draw(first[0], 9, 48, 48)
    assert np.array_equal(short, long[::2])


def test_prompts() -> None:
    """The world's prompts repeat by seed, fewer begin more, categories are balanced, and none was trained on."""
    world = FilmWorld()
    prompts = world.prompts(28, seed=4)
    assert prompts[:10] == world.prompts(10, seed=4)
    assert prompts != world.prompts(28, seed=5)
    assert {p.category: sum(q.category == p.category for q in prompts) for p in prompts} == dict.fromkeys(KINDS, 4)
    assert all(is_held_out(parse(prompt.text)) for prompt in prompts)
    assert world.prompts(0, seed=0) == []


@pytest.mark.parametrize("options", [{"category": "flying"}, {"split": "test"}])
def test_wrong_arguments_are_refused(options: dict[str, str]) -> None:
    """Each argument out of range raises our error."""
    with pytest.raises(ConfigError, match="expected"):
        sample_scene(np.random.default_rng(0), **options)
    with pytest.raises(ConfigError, match="at least 2 frames"):
        draw(sample_scene(np.random.default_rng(0)), 1, 64, 64)
    with pytest.raises(ConfigError, match="0 or more"):
        FilmWorld().prompts(-1, seed=0)
