"""The words of the sound world: what each sounds like, and all the ways to say it.

In the phrase tables the first phrase is the canonical one. Every phrase listed is both spoken by
:func:`lumina_audio.world.describe` and understood by :func:`lumina_audio.world.parse`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PITCHES: dict[str, float] = {"low": 250.0, "middle": 650.0, "high": 1700.0}
"""The fundamental frequency of each pitch class in Hz."""

LEVELS: dict[str, float] = {"soft": -34.0, "medium": -26.0, "loud": -18.0}
"""RMS of the loudest 50 ms of each loudness class, in decibels relative to full scale; "medium" is never said."""

PACES: dict[str, tuple[float, ...]] = {
    "slow": (0.46,) * 4,
    "fast": (0.2,) * 6,
    "galloping": (0.2, 0.42) * 3 + (0.2,),
}
"""Seconds from each click of a rhythm to the next."""

REGISTERS: dict[str, float] = {"low": 90.0, "high": 197.0}
"""The voices' fundamental frequency in Hz by register."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can vary in one kind of sound.

    Attributes:
        pitches: The pitch classes that it can have.
        lengths: Seconds of each length class that it can have.
        most: How many there can be in a row.
    """

    pitches: tuple[str, ...] = ()
    lengths: Mapping[str, float] = field(default_factory=dict)
    most: int = 1


KINDS: dict[str, Kind] = {
    "beep": Kind(pitches=tuple(PITCHES), lengths={"short": 0.11, "long": 0.38}, most=4),
    "tone": Kind(pitches=tuple(PITCHES), lengths={"short": 0.32, "long": 0.95}),
    "bell": Kind(pitches=tuple(PITCHES), most=3),
    "rising sweep": Kind(lengths={"short": 0.32, "long": 0.95}),
    "falling sweep": Kind(lengths={"short": 0.32, "long": 0.95}),
    "noise": Kind(lengths={"short": 0.13, "long": 0.55}, most=3),
    "hiss": Kind(lengths={"short": 0.13, "long": 0.55}),
    "rumble": Kind(lengths={"short": 0.2, "long": 0.75}),
    "clicks": Kind(),
    "speech": Kind(pitches=tuple(REGISTERS)),
}
"""Beeps are pure, tones have harmonics, bells ring and decay, sweeps glide over three octaves; noise is white, a hiss
has only high and a rumble only low frequencies; clicks make rhythms; speech says words."""

DIGITS: tuple[str, ...] = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPOKEN_WORDS: tuple[str, ...] = (*DIGITS, "yes", "no", "stop", "go", "left", "right")
"""What voices say."""
MOST_WORDS = 3
"""How many words one voice says in a row."""

COUNT_WORDS: tuple[str, ...] = ("a", "two", "three", "four")
LOUDNESS_WORDS: dict[str, tuple[str, ...]] = {"loud": ("loud", "strong"), "soft": ("soft", "quiet", "faint")}
LENGTH_WORDS: dict[str, tuple[str, ...]] = {"short": ("short", "brief"), "long": ("long", "extended")}
PITCH_WORDS: dict[str, tuple[str, ...]] = {
    "high": ("high", "high pitched"),
    "middle": ("middle", "mid", "medium pitched"),
    "low": ("low", "low pitched", "deep"),
}
PACE_WORDS: dict[str, tuple[str, ...]] = {
    "slow": ("slow", "unhurried"),
    "fast": ("fast", "rapid"),
    "galloping": ("galloping",),
}
NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "beep": (("beep", "beeps"), ("blip", "blips")),
    "tone": (("tone", "tones"), ("note", "notes")),
    "bell": (("bell", "bells"), ("chime", "chimes")),
    "rising sweep": (("rising sweep", "rising sweeps"), ("upward sweep", "upward sweeps"), ("sweep up", "sweeps up")),
    "falling sweep": (
        ("falling sweep", "falling sweeps"),
        ("downward sweep", "downward sweeps"),
        ("sweep down", "sweeps down"),
    ),
    "noise": (("burst of noise", "bursts of noise"), ("noise burst", "noise bursts")),
    "hiss": (("hiss", "hisses"),),
    "rumble": (("rumble", "rumbles"),),
    "clicks": (("rhythm of clicks", "rhythms of clicks"), ("clicking rhythm", "clicking rhythms")),
    "speech": (("voice says", "voices say"), ("voice saying", "voices saying")),
}
"""Singular and plural."""
JOINERS: tuple[str, ...] = (", then ", ", followed by ", ", and then ", " then ")
OPENINGS: tuple[str, ...] = ("", "the sound of ", "a recording of ")
