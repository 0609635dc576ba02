"""Read a sentence of the world's language: what does it assert?

Grammar (words in vocabulary.py; case, commas, hyphens, quotation marks and a full stop do not matter)::

    sentence  = [opening] event { ("then" | "and then" | "followed by") event }
    event     = count { adjective } noun | count { adjective } ("voice says" | "voice saying") word { word }
    count     = "a" | "an" | "one" | "two" | "three" | "four"
    adjective = loudness | length | pitch | pace
"""

from flagdit_core.errors import ConfigError
from flagdit_core.language import Phrases, Reader
from lumina_audio.world.scene import Claims, EventClaim
from lumina_audio.world.vocabulary import (
    COUNT_WORDS,
    JOINERS,
    LENGTH_WORDS,
    LOUDNESS_WORDS,
    NOUNS,
    OPENINGS,
    PACE_WORDS,
    PITCH_WORDS,
    SPOKEN_WORDS,
)

_OPENING = Phrases({"opening": OPENINGS})
_THEN = Phrases({"then": JOINERS})
_COUNT = Phrases({"1": (COUNT_WORDS[0], "an", "one")} | {str(n): (w,) for n, w in enumerate(COUNT_WORDS[1:], start=2)})
_ADJECTIVES: dict[str, Phrases] = {
    "loudness": Phrases(LOUDNESS_WORDS),
    "length": Phrases(LENGTH_WORDS),
    "pitch": Phrases(PITCH_WORDS),
    "pace": Phrases(PACE_WORDS),
}
_NOUN = Phrases({kind: [form for noun in nouns for form in noun] for kind, nouns in NOUNS.items()})
_SPOKEN = Phrases({word: (word,) for word in SPOKEN_WORDS})


def parse(caption: str) -> Claims:
    """What a caption asserts.

    Args:
        caption: A sentence of the world's language, in any of its wordings.

    Returns:
        The claims, events in their order.

    Raises:
        ConfigError: If the sentence is not of the language, or contradicts itself.

    Example:
        >>> parse("the sound of two brief blips").events
        (EventClaim(kind='beep', count=2, pitch=None, length='short', loudness=None, pace=None, words=()),)
    """
    reader = Reader(caption, world="sound", example="three short high beeps, then a low bell")
    reader.take(_OPENING)
    events = [_read_event(reader)]
    while reader.rest:
        if reader.take(_THEN) is None:
            raise reader.error("expected 'then'")
        events.append(_read_event(reader))
    try:
        return Claims(events=tuple(events))
    except ConfigError as error:
        raise reader.error(str(error)) from error


def _read_event(reader: Reader) -> EventClaim:
    """The sound that stands next."""
    count = reader.take(_COUNT)
    adjectives: dict[str, str] = {}
    while found := _read_adjective(reader):
        name, meaning = found
        if adjectives.setdefault(name, meaning) != meaning:
            raise reader.error(f"one sound cannot be both {adjectives[name]} and {meaning}")
    kind = reader.take(_NOUN)
    if kind is None:
        raise reader.error("expected a sound, or a word about one")
    words = []
    while kind == "speech" and (word := reader.take(_SPOKEN)):
        words.append(word)
    try:
        return EventClaim(kind=kind, count=int(count or 1), words=tuple(words), **adjectives)
    except ConfigError as error:
        raise reader.error(str(error)) from error


def _read_adjective(reader: Reader) -> tuple[str, str] | None:
    """The fact that the next word tells, and its class."""
    for name, phrases in _ADJECTIVES.items():
        if meaning := reader.take(phrases):
            return name, meaning
    return None
