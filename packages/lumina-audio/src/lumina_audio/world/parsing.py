"""Read a sentence of the world's language: what does it assert?

Grammar (words in vocabulary.py; case, commas, hyphens, quotation marks and a full stop do not matter)::

    sentence  = [opening] event { ("then" | "and then" | "followed by") event }
    event     = count { adjective } noun | count { adjective } ("voice says" | "voice saying") word { word }
    count     = "a" | "an" | "one" | "two" | "three" | "four"
    adjective = loudness | length | pitch | pace
"""

import re
from collections.abc import Iterable, Mapping

from flagdit_core.errors import ConfigError
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

_Table = tuple[re.Pattern[str], dict[str, str]]


def _plain(text: str) -> str:
    """Lower case, single spaces, no punctuation."""
    return " ".join(re.sub(r"[^a-z0-9]", " ", text.lower()).split())


def _table(words: Mapping[str, Iterable[str]]) -> _Table:
    """A pattern that matches the longest phrase of all, and what each phrase means."""
    meanings = {_plain(phrase): meaning for meaning, phrases in words.items() for phrase in phrases}
    longest_first = sorted(meanings, key=len, reverse=True)
    return re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?: |$)"), meanings


_OPENING = _table({"opening": filter(None, OPENINGS)})
_THEN = _table({"then": JOINERS})
_COUNT = _table({"1": (COUNT_WORDS[0], "an", "one")} | {str(n): (w,) for n, w in enumerate(COUNT_WORDS[1:], start=2)})
_ADJECTIVES: dict[str, _Table] = {
    "loudness": _table(LOUDNESS_WORDS),
    "length": _table(LENGTH_WORDS),
    "pitch": _table(PITCH_WORDS),
    "pace": _table(PACE_WORDS),
}
_NOUN = _table({kind: [form for noun in nouns for form in noun] for kind, nouns in NOUNS.items()})
_SPOKEN = _table({word: (word,) for word in SPOKEN_WORDS})


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
    return _Reader(caption).read()


class _Reader:
    """A cursor over the words of one caption."""

    def __init__(self, caption: str) -> None:
        self._caption = caption
        self._rest = _plain(caption)

    def read(self) -> Claims:
        self._take(_OPENING)
        events = [self._read_event()]
        while self._rest:
            if self._take(_THEN) is None:
                raise self._error("expected 'then'")
            events.append(self._read_event())
        try:
            return Claims(events=tuple(events))
        except ConfigError as error:
            raise self._error(str(error)) from error

    def _take(self, table: _Table) -> str | None:
        """Step over a phrase of the table and return its meaning, or None where none stands here."""
        pattern, meanings = table
        match = pattern.match(self._rest)
        if match is None:
            return None
        self._rest = self._rest[match.end() :]
        return meanings[match.group().strip()]

    def _read_event(self) -> EventClaim:
        count = self._take(_COUNT)
        adjectives: dict[str, str] = {}
        while found := self._read_adjective():
            name, meaning = found
            if adjectives.setdefault(name, meaning) != meaning:
                raise self._error(f"one sound cannot be both {adjectives[name]} and {meaning}")
        kind = self._take(_NOUN)
        if kind is None:
            raise self._error("expected a sound, or a word about one")
        words = []
        while kind == "speech" and (word := self._take(_SPOKEN)):
            words.append(word)
        try:
            return EventClaim(kind=kind, count=int(count or 1), words=tuple(words), **adjectives)
        except ConfigError as error:
            raise self._error(str(error)) from error

    def _read_adjective(self) -> tuple[str, str] | None:
        """The fact that the next word tells, and its class."""
        for name, table in _ADJECTIVES.items():
            if meaning := self._take(table):
                return name, meaning
        return None

    def _error(self, problem: str) -> ConfigError:
        where = f"before {self._rest!r}" if self._rest else "at the end"
        return ConfigError(
            f"{self._caption!r} is not in the sound world's language: {problem} {where}; "
            "say for example 'three short high beeps, then a low bell'"
        )
