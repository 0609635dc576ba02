"""Does a sound say what a sentence says? Not learned: listen to the sound, then compare with every claim."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ShapeError
from flagdit_core.world import MISSING, Check, Verdict
from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.sound import Sound
from lumina_audio.world.parsing import parse
from lumina_audio.world.recognition import UNCLEAR, SeenStrike, recognise
from lumina_audio.world.scene import Claims, EventClaim
from lumina_audio.world.segmentation import segment
from lumina_audio.world.vocabulary import DIGITS

SHORTEST_SECONDS = 0.1
"""Shorter sounds cannot be judged."""
FEWEST_CLICKS = 3
"""Of a rhythm."""
UNEVEN = 1.5
"""Intervals between clicks that differ by this ratio make a galloping rhythm."""
SLOW_SECONDS = 0.32
"""Clicks that follow one another more slowly make a slow rhythm."""


@dataclass(frozen=True, kw_only=True)
class HeardEvent:
    """What was heard at one place in the order: a strike, a word, or all clicks of a rhythm."""

    strikes: tuple[SeenStrike, ...]

    @property
    def kind(self) -> str:
        """One of ``KINDS``, or "unclear" for clicks too few for a rhythm."""
        few = self.strikes[0].kind == "clicks" and len(self.strikes) < FEWEST_CLICKS
        return UNCLEAR if few else self.strikes[0].kind

    @property
    def pace(self) -> str:
        """Of clicks: "slow", "fast", "galloping"; "unclear" of anything else."""
        if self.kind != "clicks":
            return UNCLEAR
        intervals = np.diff([strike.onset for strike in self.strikes])
        if intervals.max() > UNEVEN * intervals.min():
            return "galloping" if _alternates(intervals) else UNCLEAR
        return "slow" if np.median(intervals) > SLOW_SECONDS else "fast"


def listen(sound: Sound) -> tuple[HeardEvent, ...]:
    """What is heard in a sound, in its order.

    Args:
        sound: Of any sample rate and number of channels.

    Returns:
        Strikes and words one by one; clicks that follow one another are one event.

    Raises:
        ShapeError: The sound is shorter than a tenth of a second.
    """
    if sound.seconds < SHORTEST_SECONDS:
        raise ShapeError(f"expected {SHORTEST_SECONDS} seconds of sound or more, got {sound.seconds:.3f}")
    samples = sound.mono().resampled(SAMPLE_RATE).samples[0].astype(np.float64)
    events: list[list[SeenStrike]] = []
    for strike in map(recognise, segment(samples)):
        if events and strike.kind == events[-1][-1].kind == "clicks":
            events[-1].append(strike)
        else:
            events.append([strike])
    return tuple(HeardEvent(strikes=tuple(strikes)) for strikes in events)


def verify(sound: Sound, caption: str | Claims) -> Verdict:
    """Compare a sound with what a caption asserts.

    Args:
        sound: Of any sample rate and number of channels.
        caption: A sentence of the world's language, or its claims.

    Returns:
        One check per claim, of kinds "count" (how many sounds in all), "kind", "pitch", "length", "loudness", "pace",
        "digit" or "word" (each that is said) and, of several events, "order".

    Raises:
        ConfigError: The caption is not of the language.
        ShapeError: The sound cannot be judged.

    Example:
        >>> from lumina_audio.world import describe, render, sample_scene
        >>> scene = sample_scene(np.random.default_rng(0))
        >>> verify(render(scene), describe(scene)).passed
        True
    """
    return compare(listen(sound), parse(caption) if isinstance(caption, str) else caption)


def compare(heard: tuple[HeardEvent, ...], claims: Claims) -> Verdict:
    """What :func:`verify` says once a sound has been listened to.

    Args:
        heard: What :func:`listen` returned.
        claims: What is asserted of it.

    Returns:
        The checks.
    """
    sizes = [len(event.words) or event.count for event in claims.events]
    checks = [Check.of("count", str(sum(sizes)), str(len(heard)))]
    if len(claims.events) > 1:
        expected = [event.kind for event, size in zip(claims.events, sizes, strict=True) for _ in range(size)]
        checks.append(Check.of("order", ", ".join(expected), ", ".join(event.kind for event in heard)))
    start = 0
    for event, size in zip(claims.events, sizes, strict=True):
        checks += _event_checks(event, heard[start : start + size], size)
        start += size
    return Verdict(checks=tuple(checks))


def _event_checks(claim: EventClaim, heard: tuple[HeardEvent, ...], size: int) -> list[Check]:
    """The checks of one event, against what was heard in its place."""
    strikes = [event.strikes[0] for event in heard]
    checks = [Check.of("kind", claim.kind, _one([event.kind for event in heard], size))]
    if claim.pitch is not None:
        checks.append(Check.of("pitch", claim.pitch, _one([strike.pitch for strike in strikes], size)))
    if claim.length is not None:
        checks.append(Check.of("length", claim.length, _one([strike.length for strike in strikes], size)))
    if claim.loudness is not None:
        loudness = [strike.loudness for event in heard for strike in event.strikes]
        checks.append(Check.of("loudness", claim.loudness, _one(loudness, 1) if len(heard) == size else MISSING))
    if claim.pace is not None:
        checks.append(Check.of("pace", claim.pace, _one([event.pace for event in heard], size)))
    for number, word in enumerate(claim.words):
        found = strikes[number].word if number < len(strikes) else MISSING
        checks.append(Check.of("digit" if word in DIGITS else "word", word, found))
    return checks


def _one(found: list[str], size: int) -> str:
    """What all of at least ``size`` strikes have in common, or all that they have."""
    if len(found) < size:
        return MISSING
    return ", ".join(dict.fromkeys(found))


def _alternates(intervals: npt.NDArray[np.float64]) -> bool:
    """Whether short and long intervals take turns."""
    longer = np.diff(intervals) > 0
    return bool((longer[1:] != longer[:-1]).all())
