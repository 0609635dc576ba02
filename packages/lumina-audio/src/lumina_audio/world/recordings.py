"""The voices that say the world's words: recordings made with espeak-ng, shipped with the package.

``record_voices`` made them, with the settings in :data:`SPEAKERS`; anybody who has espeak-ng can make them again. They
are Vorbis at 16 kHz, one file for each voice, its words one after another at the places that ``index.json`` names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from flagdit_core.errors import ConfigError
from lumina_audio.artifacts import save_sound
from lumina_audio.espeak import Voice, speak
from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.reading import read_sound
from lumina_audio.sound import Samples, Sound
from lumina_audio.world.vocabulary import SPOKEN_WORDS

FOLDER = Path(__file__).parent / "voices"
_INDEX = "index.json"
_TRIM_DB = -38.0
_GAP = SAMPLE_RATE // 10


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One voice of the world.

    Attributes:
        register: "low" or "high".
        voice: How espeak-ng made it.
    """

    register: str
    voice: Voice


SPEAKERS: dict[str, Speaker] = {
    "ada": Speaker(register="high", voice=Voice(name="en-us+f2", pitch=55)),
    "bea": Speaker(register="high", voice=Voice(name="en-us+f4", pitch=62)),
    "cleo": Speaker(register="high", voice=Voice(name="en-gb-x-rp+f3", pitch=50)),
    "dan": Speaker(register="low", voice=Voice(name="en-us+m3", pitch=45)),
    "eli": Speaker(register="low", voice=Voice(name="en-us", pitch=38)),
    "finn": Speaker(register="low", voice=Voice(name="en-gb-x-rp+m1", pitch=50)),
}
"""Three high and three low voices, British and American."""


@cache
def recordings() -> Mapping[tuple[str, str], Samples]:
    """All words of all voices.

    Returns:
        (voice, word) to mono samples (n,) float32 at 16 kHz, without silence around, the loudest at half of full scale.
    """
    return read_voices(FOLDER)


def read_voices(folder: Path) -> dict[tuple[str, str], Samples]:
    """The recordings that :func:`record_voices` wrote.

    Args:
        folder: Where they are.

    Returns:
        As :func:`recordings`.
    """
    index: dict[str, dict[str, list[int]]] = json.loads((folder / _INDEX).read_text())
    found: dict[tuple[str, str], Samples] = {}
    for voice, places in index.items():
        samples = read_sound(folder / f"{voice}.ogg").samples[0]
        found |= {(voice, word): samples[start:stop] for word, (start, stop) in places.items()}
    return found


def record_voices(folder: Path) -> None:
    """Have espeak-ng say every word in every voice, and write the recordings.

    Args:
        folder: Made if missing; recordings in it are replaced.

    Raises:
        BackendUnavailableError: espeak-ng is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, dict[str, list[int]]] = {}
    for name, speaker in SPEAKERS.items():
        places, pieces, end = {}, [], 0
        for word in SPOKEN_WORDS:
            samples = _trimmed(speak(word, speaker.voice).resampled(SAMPLE_RATE).samples[0])
            places[word] = [end, end + len(samples)]
            pieces += [samples, np.zeros(_GAP, np.float32)]
            end += len(samples) + _GAP
        index[name] = places
        made_with = {"made_with": "espeak-ng", "voice": speaker.voice.name, "pitch": speaker.voice.pitch}
        save_sound(Sound.of(np.concatenate(pieces), sample_rate=SAMPLE_RATE), folder / f"{name}.ogg", made_with)
    (folder / _INDEX).write_text(json.dumps(index) + "\n")


def recording(voice: str, word: str) -> Samples:
    """One word in one voice.

    Args:
        voice: One of ``SPEAKERS``.
        word: One of ``SPOKEN_WORDS``.

    Returns:
        Mono samples (n,) at 16 kHz.

    Raises:
        ConfigError: There is no such recording.
    """
    if (voice, word) not in recordings():
        raise ConfigError(f"expected a voice out of {', '.join(SPEAKERS)} and a word of the world, got {voice, word}")
    return recordings()[voice, word]


def _trimmed(samples: Samples) -> Samples:
    """Without silence around, the peak at one half, and soft edges."""
    width = SAMPLE_RATE // 100
    level = np.sqrt(np.convolve(np.square(samples), np.ones(width) / width, mode="same"))
    loud = np.flatnonzero(level > level.max() * 10 ** (_TRIM_DB / 20))
    inside = samples[max(0, loud[0] - width) : loud[-1] + width] * (0.5 / np.abs(samples).max())
    fade = np.linspace(0, 1, width // 2, dtype=np.float32)
    inside[: len(fade)] *= fade
    inside[-len(fade) :] *= fade[::-1]
    return inside.astype(np.float32)
