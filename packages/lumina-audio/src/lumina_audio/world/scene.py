"""What a piece of sound contains (:class:`Scene`) and what a sentence asserts about it (:class:`Claims`)."""

from dataclasses import dataclass

from flagdit_core.errors import ConfigError
from flagdit_core.language import check_word
from lumina_audio.world.vocabulary import KINDS, LOUDNESS_WORDS, MOST_WORDS, PACES, SPOKEN_WORDS

CATEGORIES: tuple[str, ...] = ("one sound", "sounds in order", "spoken words")
MOST_EVENTS = 3
"""How many events follow one another."""


@dataclass(frozen=True, kw_only=True)
class EventClaim:
    """What a sentence says about one event; None where it says nothing.

    Attributes:
        kind: One of ``KINDS``.
        count: How many of the kind sound in a row.
        pitch: A pitch class, of speech the voice's register.
        length: "short" or "long".
        loudness: "soft" or "loud".
        pace: Of clicks: "slow", "fast" or "galloping"; always said.
        words: Of speech: what is said, always.
    """

    kind: str
    count: int = 1
    pitch: str | None = None
    length: str | None = None
    loudness: str | None = None
    pace: str | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_word("sound", self.kind, KINDS)
        kind = KINDS[self.kind]
        if not 1 <= self.count <= kind.most:
            raise ConfigError(f"expected 1 to {kind.most} in a row of {self.kind!r}, got {self.count}")
        if self.pitch is not None:
            check_word(f"pitch of {self.kind!r}", self.pitch, kind.pitches)
        if self.length is not None:
            check_word(f"length of {self.kind!r}", self.length, kind.lengths)
        if self.loudness is not None:
            check_word("loudness", self.loudness, LOUDNESS_WORDS)
        if (self.pace in PACES) != (self.kind == "clicks"):
            raise ConfigError(f"expected a pace out of {', '.join(PACES)} for clicks alone; got {self}")
        if not (1 <= len(self.words) <= MOST_WORDS if self.kind == "speech" else not self.words):
            raise ConfigError(f"expected one to {MOST_WORDS} words for speech alone; got {self}")
        for word in self.words:
            check_word("spoken word", word, SPOKEN_WORDS)

    @property
    def fact(self) -> str:
        """The assertion as one string."""
        said = (self.loudness, self.length, self.pitch, self.pace, self.kind, *self.words)
        return " ".join((str(self.count), *filter(None, said)))


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Everything that a sentence asserts: its events in order, and no others."""

    events: tuple[EventClaim, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.events) <= MOST_EVENTS:
            raise ConfigError(f"expected one to {MOST_EVENTS} events, got {len(self.events)}")

    @property
    def category(self) -> str:
        """One of :data:`CATEGORIES`."""
        if any(event.kind == "speech" for event in self.events):
            return CATEGORIES[2]
        return CATEGORIES[int(len(self.events) > 1)]

    @property
    def facts(self) -> tuple[str, ...]:
        """The assertions in their order, one string for each event."""
        return tuple(event.fact for event in self.events)


@dataclass(frozen=True, kw_only=True)
class SceneEvent:
    """One event as it is to be heard.

    Attributes:
        kind: One of ``KINDS``.
        onsets: Seconds from the beginning at which its strikes, clicks or words begin.
        duration: Seconds of each strike; 0 for clicks and speech, which have their own.
        frequency: Of strikes, in Hz; 0 where there is no pitch to choose.
        level_db: RMS of the loudest 50 ms, in decibels relative to full scale.
        words: What is said, one for each onset.
        voice: Name of the voice that says it.
        speed: Factor on the voice's speed and pitch.
        seed: Of noise.
    """

    kind: str
    onsets: tuple[float, ...]
    duration: float = 0.0
    frequency: float = 0.0
    level_db: float = -26.0
    words: tuple[str, ...] = ()
    voice: str = ""
    speed: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A piece of sound to render, and the claims that a caption of it makes.

    Attributes:
        seconds: Duration of the whole.
        events: In their order, without overlap; ``claims.events[i]`` is about ``events[i]``.
        shown: What a sentence could say at most: every class that each event belongs to.
        claims: What the caption says.
    """

    seconds: float
    events: tuple[SceneEvent, ...]
    shown: tuple[EventClaim, ...]
    claims: Claims
