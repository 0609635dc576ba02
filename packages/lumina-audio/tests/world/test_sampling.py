"""Scenes: repeatable, true to their claims, inside their duration, and split cleanly."""

from itertools import pairwise

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from lumina_audio.world import CATEGORIES, HELD_OUT_TRIPLES, Scene, is_held_out, render, sample_scene
from lumina_audio.world.sampling import EVENT_GAP, LENGTH_JITTER, PITCH_JITTER, TAIL
from lumina_audio.world.splits import has_held_out_triple
from lumina_audio.world.vocabulary import KINDS, PITCHES


def _scenes(count: int, **settings: object) -> list[Scene]:
    generator = np.random.default_rng(7)
    return [sample_scene(generator, **settings) for _ in range(count)]


def test_equal_generators_give_equal_scenes() -> None:
    """A scene, and the sound of it, is a pure function of the generator's state."""
    for first, second in zip(_scenes(20, split="any"), _scenes(20, split="any"), strict=True):
        assert first == second
        assert np.array_equal(render(first).samples, render(second).samples)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.2, 4.0])
def test_everything_fits_and_nothing_overlaps(seconds: float) -> None:
    """Strikes come in order, events with their gap between them, the last one ends before the sound does."""
    for scene in _scenes(60, seconds=seconds):
        sound = render(scene)
        assert sound.seconds == pytest.approx(seconds, abs=1e-3)
        assert np.abs(sound.samples[0, -round(TAIL * 16_000) + 1 :]).max() == 0
        for event in scene.events:
            assert all(later - earlier > event.duration for earlier, later in pairwise(event.onsets))
        for before, after in pairwise(scene.events):
            assert after.onsets[0] - before.onsets[-1] - before.duration >= EVENT_GAP[0] - 1e-9


def test_claims_are_true_of_what_is_shown() -> None:
    """What the caption says of an event is what was drawn, and the drawn numbers belong to their classes."""
    for scene in _scenes(200, split="any"):
        for event, shown, claim in zip(scene.events, scene.shown, scene.claims.events, strict=True):
            assert (claim.kind, claim.count, claim.pace, claim.words) == (
                shown.kind,
                shown.count,
                shown.pace,
                shown.words,
            )
            for fact in ("pitch", "length", "loudness"):
                assert getattr(claim, fact) in (None, getattr(shown, fact))
            if shown.length is not None:
                assert event.duration == pytest.approx(KINDS[shown.kind].lengths[shown.length], rel=LENGTH_JITTER)
            if event.frequency:
                assert event.frequency == pytest.approx(PITCHES[shown.pitch or ""], rel=PITCH_JITTER)


def test_training_never_shows_what_is_held_out() -> None:
    """No training scene has a held-out combination, told or not; every held-out one has; both occur."""
    for scene in _scenes(300, split="train"):
        assert not is_held_out(scene.claims)
        assert not any(map(has_held_out_triple, scene.shown))
    held_out = _scenes(60, split="held_out")
    assert all(is_held_out(scene.claims) for scene in held_out)
    assert any(any(map(has_held_out_triple, scene.claims.events)) for scene in held_out)
    assert all(kind in KINDS for kind, _, _ in HELD_OUT_TRIPLES)


def test_categories_and_weights() -> None:
    """A category is what was asked for; weights draw only what they allow."""
    for category in CATEGORIES:
        assert {scene.claims.category for scene in _scenes(20, category=category)} == {category}
    assert {scene.claims.category for scene in _scenes(20, weights=(0, 0, 1))} == {"spoken words"}


def test_neighbours_differ() -> None:
    """Events that follow one another are of different kinds or pitches, so that they can be told apart."""
    for scene in _scenes(100, category="sounds in order"):
        assert all((a.kind, a.pitch) != (b.kind, b.pitch) for a, b in pairwise(scene.shown))


@pytest.mark.parametrize(
    "settings", [{"category": "music"}, {"weights": (0, 0, 0)}, {"seconds": 0.5}, {"seconds": 9}, {"split": "test"}]
)
def test_impossible_settings(settings: dict[str, object]) -> None:
    """Arguments out of range raise our error."""
    with pytest.raises(ConfigError, match="expected"):
        _scenes(1, **settings)
