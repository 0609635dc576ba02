"""Draw random scenes: which events, how they sound, when they begin, and how much of it the caption tells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from flagdit_core.errors import ConfigError
from flagdit_core.language import check_word
from flagdit_core.scenes import Split, draw_scene, pick, pick_weighted
from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.world.recordings import SPEAKERS, recording
from lumina_audio.world.rendering import CLICK_SECONDS
from lumina_audio.world.scene import CATEGORIES, MOST_EVENTS, Claims, EventClaim, Scene, SceneEvent
from lumina_audio.world.splits import has_held_out_triple, is_held_out
from lumina_audio.world.vocabulary import KINDS, LEVELS, PACES, PITCHES, SPOKEN_WORDS

SHORTEST, LONGEST = 1.0, 8.0
"""Seconds of a scene."""
PITCH_JITTER, LENGTH_JITTER, LEVEL_JITTER, SPEED_JITTER = 0.12, 0.08, 1.2, 0.04
"""Frequencies, lengths and the voices' speeds vary by these fractions either way within their class, levels by dB."""
BELL_SECONDS = 0.6
LEAD, TAIL = (0.05, 0.15), 0.1
"""Seconds of silence before the first event, and at least after the last."""
STRIKE_GAP, WORD_GAP, EVENT_GAP = (0.16, 0.2), (0.2, 0.26), (0.3, 0.42)
"""Seconds of silence between strikes of one event, between words, and between events."""
SPEECH_ACCOMPANIED = 0.25
"""How often another sound precedes or follows the spoken words."""
TOLD = {"pitch": 0.85, "length": 0.6, "loudness": 0.85}
"""How often the caption tells each of the facts; count, pace and words always, medium loudness never."""
ALL_TOLD = dict.fromkeys(TOLD, 1.0)
"""For captions that tell all that is heard, so that nothing but the words tells a pitch, a length or a loudness."""

_LOUDNESSES = ("soft", "loud", None, None, None, None)
_NUM_WORDS = (1, 1, 1, 2, 2, 3)
_SOUNDS = tuple(kind for kind in KINDS if kind != "speech")


def sample_scene(
    generator: np.random.Generator,
    *,
    category: str | None = None,
    weights: Sequence[float] = (0.35, 0.35, 0.3),
    seconds: float = 3.2,
    told: Mapping[str, float] = TOLD,
    split: Split = "train",
) -> Scene:
    """A random scene: nothing overlaps, everything fits in, and what is claimed is true.

    Args:
        generator: Source of randomness; the scene is a pure function of its state.
        category: One of ``CATEGORIES``; None draws it by ``weights``.
        weights: Relative frequencies of the categories (a curriculum changes them).
        seconds: Duration of the whole, from 1 to 8.
        told: How often the caption tells the "pitch", "length" and "loudness" of an event.
        split: "train" leaves out what "held_out" consists of; "any" draws from both.

    Returns:
        The scene. Events that follow one another differ in kind or pitch.

    Raises:
        ConfigError: If an argument is out of range.
    """
    if category is not None:
        check_word("category", category, CATEGORIES)
    if not SHORTEST <= seconds <= LONGEST:
        raise ConfigError(f"expected {SHORTEST:g} to {LONGEST:g} seconds, got {seconds!r}")
    chosen = pick_weighted(generator, CATEGORIES, weights) if category is None else category
    return draw_scene(lambda: _propose(generator, chosen, seconds, told), split, _split_of)


def _split_of(scene: Scene) -> Split | None:
    """None where a sound is to be heard, but not told, that training never has."""
    if is_held_out(scene.claims):
        return "held_out"
    return None if any(map(has_held_out_triple, scene.shown)) else "train"


def _propose(generator: np.random.Generator, category: str, seconds: float, told: Mapping[str, float]) -> Scene | None:
    """One attempt; None where the events do not fit in or two that follow one another are alike."""
    shown = tuple(_look(generator, kind) for kind in _kinds(generator, category))
    if any((a.kind, a.pitch) == (b.kind, b.pitch) for a, b in pairwise(shown)):
        return None
    end, gap = 0.0, generator.uniform(*LEAD)
    events = []
    for look in shown:
        event, end = _event(generator, look, begin=end + gap)
        gap = generator.uniform(*EVENT_GAP)
        events.append(event)
    if end + TAIL > seconds:
        return None
    claims = Claims(events=tuple(_told(generator, look, told) for look in shown))
    return Scene(seconds=seconds, events=tuple(events), shown=shown, claims=claims)


def _kinds(generator: np.random.Generator, category: str) -> list[str]:
    """What sounds, in order."""
    if category == "spoken words":
        kinds = ["speech"]
        if generator.random() < SPEECH_ACCOMPANIED:
            kinds.insert(int(generator.integers(2)), pick(generator, _SOUNDS))
        return kinds
    count = 1 if category == "one sound" else int(generator.integers(2, MOST_EVENTS + 1))
    return [pick(generator, _SOUNDS) for _ in range(count)]


def _look(generator: np.random.Generator, name: str) -> EventClaim:
    """The classes of one event, all that can be said of it; no loudness is medium loudness."""
    kind = KINDS[name]
    loudness = pick(generator, _LOUDNESSES)
    num_words = pick(generator, _NUM_WORDS) if name == "speech" else 0
    return EventClaim(
        kind=name,
        count=int(generator.integers(1, kind.most + 1)),
        pitch=pick(generator, kind.pitches) if kind.pitches else None,
        length=pick(generator, tuple(kind.lengths)) if kind.lengths else None,
        loudness=loudness,
        pace=pick(generator, tuple(PACES)) if name == "clicks" else None,
        words=tuple(pick(generator, SPOKEN_WORDS) for _ in range(num_words)),
    )


def _event(generator: np.random.Generator, look: EventClaim, begin: float) -> tuple[SceneEvent, float]:
    """One event that looks so and begins then, and when it ends, in seconds."""
    level = LEVELS[look.loudness or "medium"] + generator.uniform(-LEVEL_JITTER, LEVEL_JITTER)
    seed = int(generator.integers(2**32))
    match look.kind:
        case "clicks":
            intervals = np.array(PACES[look.pace or ""]) * generator.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER)
            onsets = begin + np.concatenate([[0.0], np.cumsum(intervals)])
            event = SceneEvent(kind=look.kind, onsets=tuple(onsets.tolist()), level_db=level)
            return event, float(onsets[-1]) + CLICK_SECONDS
        case "speech":
            voices = [name for name, speaker in SPEAKERS.items() if speaker.register == look.pitch]
            voice, speed = pick(generator, voices), float(generator.uniform(1 - SPEED_JITTER, 1 + SPEED_JITTER))
            lengths = [len(recording(voice, word)) / speed / SAMPLE_RATE for word in look.words]
            times, end = _placed(generator, lengths, WORD_GAP, begin)
            return SceneEvent(
                kind=look.kind, onsets=times, level_db=level, words=look.words, voice=voice, speed=speed
            ), end
    length = KINDS[look.kind].lengths[look.length] if look.length else BELL_SECONDS
    duration = float(length * generator.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER))
    pitch = PITCHES[look.pitch] * float(generator.uniform(1 - PITCH_JITTER, 1 + PITCH_JITTER)) if look.pitch else 0.0
    times, end = _placed(generator, [duration] * look.count, STRIKE_GAP, begin)
    return SceneEvent(kind=look.kind, onsets=times, duration=duration, frequency=pitch, level_db=level, seed=seed), end


def _placed(
    generator: np.random.Generator, lengths: Sequence[float], gaps: tuple[float, float], begin: float
) -> tuple[tuple[float, ...], float]:
    """Onsets of strikes of these lengths with one gap between them, and the end of the last, in seconds."""
    starts = begin + np.concatenate([[0.0], np.cumsum(np.array(lengths[:-1]) + generator.uniform(*gaps))])
    return tuple(starts.tolist()), float(starts[-1] + lengths[-1])


def _told(generator: np.random.Generator, look: EventClaim, often: Mapping[str, float]) -> EventClaim:
    """What the caption says of an event."""
    told = {fact for fact in TOLD if generator.random() < often[fact]}
    return replace(
        look,
        pitch=look.pitch if "pitch" in told else None,
        length=look.length if "length" in told else None,
        loudness=look.loudness if "loudness" in told else None,
    )
