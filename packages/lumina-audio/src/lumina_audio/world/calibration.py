"""How far can the verifier be trusted? Judge sounds whose truth is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flagdit_core.scenes import PassRates, pick_other
from lumina_audio.sound import Sound
from lumina_audio.world.captions import describe
from lumina_audio.world.parsing import parse
from lumina_audio.world.rendering import render
from lumina_audio.world.sampling import sample_scene
from lumina_audio.world.scene import CATEGORIES, Claims, EventClaim
from lumina_audio.world.verifier import HeardEvent, compare, listen
from lumina_audio.world.vocabulary import KINDS, LOUDNESS_WORDS, PACES, SPOKEN_WORDS

Distortion = Callable[[Sound], Sound]


def swap_one(claims: Claims, generator: np.random.Generator) -> tuple[str, Claims]:
    """Change exactly one assertion into another, so that claims that are true of a sound become false.

    Args:
        claims: True claims, of events of which no two that follow one another are alike.
        generator: Source of randomness; every assertion is equally likely to be changed.

    Returns:
        What was changed ("kind", "count", "pitch", "length", "loudness", "pace", "word", "order"), and the new claims.
    """
    options: list[tuple[str, int]] = []
    for number, event in enumerate(claims.events):
        told = [name for name in ("pitch", "length", "loudness", "pace") if getattr(event, name) is not None]
        several = ["count"] if KINDS[event.kind].most > 1 else []
        only_kind = ["word"] if event.words else ["kind"]
        options.extend((name, number) for name in (*told, *several, *only_kind))
    if len(claims.events) > 1 and claims.events[0].kind != claims.events[-1].kind:
        options.append(("order", 0))
    what, number = options[int(generator.integers(len(options)))]
    if what == "order":
        return what, Claims(events=claims.events[::-1])
    events = list(claims.events)
    events[number] = _changed(events[number], what, generator)
    return what, Claims(events=tuple(events))


def calibrate(
    count: int, *, seconds: float = 3.2, seed: int = 0, distort: Distortion | None = None
) -> dict[str, dict[str, float]]:
    """How often the verifier says yes, over ``count`` scenes of the categories in turn.

    Args:
        count: Number of scenes.
        seconds: Duration of the sounds.
        seed: Seed of the scenes.
        distort: What is done to each sound before it is judged, for example a codec's round trip; nothing if None.

    Returns:
        Pass rates 0-1. "right": captions that are true, by category and "all" together. "swapped": captions with one
        assertion changed, by what was changed and "all". "extra": sounds with one event more than the caption says.
    """
    generator = np.random.default_rng(seed)
    rates = PassRates("right", "swapped", "extra")

    def judge(name: str, group: str, heard: tuple[HeardEvent, ...], claims: Claims) -> None:
        rates.add(name, group, compare(heard, parse(describe(claims, generator))).passed)

    for number in range(count):
        scene = sample_scene(generator, category=CATEGORIES[number % len(CATEGORIES)], seconds=seconds, split="any")
        sound = render(scene)
        heard = listen(distort(sound) if distort else sound)
        judge("right", scene.claims.category, heard, scene.claims)
        what, wrong = swap_one(scene.claims, generator)
        judge("swapped", what, heard, wrong)
        if len(scene.claims.events) > 1:
            judge("extra", scene.claims.category, heard, Claims(events=scene.claims.events[:-1]))
    return rates.as_dict()


def _changed(event: EventClaim, what: str, generator: np.random.Generator) -> EventClaim:
    """The event with another word for one fact."""
    kind = KINDS[event.kind]
    match what:
        case "count":
            counts = [str(number) for number in range(1, kind.most + 1)]
            return replace(event, count=int(pick_other(generator, counts, {str(event.count)})))
        case "kind":
            return _another_kind(event, generator)
        case "word":
            place = int(generator.integers(len(event.words)))
            word = pick_other(generator, SPOKEN_WORDS, {event.words[place]})
            return replace(event, words=(*event.words[:place], word, *event.words[place + 1 :]))
        case "pitch":
            return replace(event, pitch=pick_other(generator, kind.pitches, {event.pitch}))
        case "length":
            return replace(event, length=pick_other(generator, kind.lengths, {event.length}))
        case "loudness":
            return replace(event, loudness=pick_other(generator, LOUDNESS_WORDS, {event.loudness}))
        case "pace":
            return replace(event, pace=pick_other(generator, PACES, {event.pace}))
        case _:
            raise AssertionError(f"no fact {what!r}")


def _another_kind(event: EventClaim, generator: np.random.Generator) -> EventClaim:
    """Another kind, with what of the claim that kind can have."""
    kind = pick_other(generator, KINDS, {event.kind, "speech", "clicks"})
    found = KINDS[kind]
    return EventClaim(
        kind=kind,
        count=min(event.count, found.most),
        pitch=event.pitch if event.pitch in found.pitches else None,
        length=event.length if event.length in found.lengths else None,
        loudness=event.loudness,
    )
