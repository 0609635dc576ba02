"""What one strike sounds like, by its pitch track, its decay and the shape of its spectrum.

Legend: n samples, F frames, H frequencies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.world.segmentation import Strike
from lumina_audio.world.speech import FARTHEST, recognise_word
from lumina_audio.world.vocabulary import KINDS, LEVELS, PITCHES

Wave = npt.NDArray[np.float64]

UNCLEAR = "unclear"
MEDIUM_DB = 3.0
"""What is farther than this from medium loudness is loud or soft."""
LONGEST_CLICK = 0.08
"""Seconds."""
LEAST_GLIDE = 1.5
"""Octaves from begin to end of a sweep."""
NEAR = 0.2
"""Frequencies within this fraction of a frame's peak belong to it."""
PURE = 0.85
"""Least share of a pure tone's energy near its peak."""
STEADY, HARMONIC = 0.75, 0.85
"""Least shares of a tone's frames with its pitch, and of its energy in harmonics."""
OVERTONES = 0.05
"""Least share of a tone's energy above its fundamental; a beep has less."""
LEAST_DECAY_DB = 12.0
"""A bell falls at least so far, along a straight line through its level, while it is heard."""
HIGH_HZ, LOW_HZ, ONE_SIDED = 3000.0, 300.0, 0.75
"""Hisses have this share of their energy above the first, rumbles below the second."""
FLAT = 0.8
"""Least flatness of noise: geometric over arithmetic mean of five bands."""
_BANDS = (60.0, 500.0, 1500.0, 3000.0, 5000.0, 7900.0)
_WINDOW, _HOP, _TRANSFORM = 512, 80, 2048
_LEAST_ENERGY = 0.01
_FUNDAMENTAL = 0.25
_EDGE = 3  # frames of the envelope


@dataclass(frozen=True, kw_only=True)
class SeenStrike:
    """One strike as it was heard.

    Attributes:
        kind: One of ``KINDS``, or "unclear".
        onset: Seconds.
        duration: Seconds for which it is heard.
        level_db: RMS of its loudest 50 ms.
        pitch: A pitch class, of speech the register; "unclear" where the kind has none.
        word: Of speech; "unclear" if it is none of the world's words.
    """

    kind: str
    onset: float
    duration: float
    level_db: float
    pitch: str = UNCLEAR
    word: str = UNCLEAR

    @property
    def length(self) -> str:
        """The length class."""
        lengths = KINDS[self.kind].lengths if self.kind in KINDS else {}
        return nearest_class(self.duration, lengths) if lengths else UNCLEAR

    @property
    def loudness(self) -> str:
        """The loudness class."""
        over = self.level_db - LEVELS["medium"]
        return "medium" if abs(over) < MEDIUM_DB else "loud" if over > 0 else "soft"


def nearest_class(value: float, classes: Mapping[str, float]) -> str:
    """The class whose value is nearest in ratio."""
    return min(classes, key=lambda name: abs(float(np.log(classes[name] / max(value, 1e-6)))))


def recognise(strike: Strike) -> SeenStrike:
    """What a strike is.

    Args:
        strike: A stretch of sound.

    Returns:
        Its kind, and what the kind has of pitch and words.
    """
    traits = _traits(strike)
    kind = _kind(strike, traits)
    pitch = word = UNCLEAR
    if kind == "speech":
        heard = recognise_word(strike.samples)
        pitch, word = heard.register, heard.word if heard.distance < FARTHEST else UNCLEAR
    elif KINDS[kind].pitches:
        pitch = nearest_class(traits.fundamental, PITCHES)
    return SeenStrike(
        kind=kind, onset=strike.onset, duration=strike.duration, level_db=strike.level_db, pitch=pitch, word=word
    )


@dataclass(frozen=True, kw_only=True)
class _Traits:
    """Measured of one strike; shares are of its energy, 0-1.

    Attributes:
        purity: Share near each frame's peak.
        glide: Octaves that the peak moves from begin to end.
        steadiness: Share of frames whose peak is a harmonic of the fundamental, the lowest strong frequency.
        fundamental: In Hz.
        harmonicity: Share near harmonics of the fundamental.
        overtones: Of that, what lies above the fundamental.
        low: Share below ``LOW_HZ``.
        high: Share above ``HIGH_HZ``.
        flatness: Of five bands.
        decay_db: How far the level falls from begin to end.
    """

    purity: float
    glide: float
    steadiness: float
    fundamental: float
    harmonicity: float
    overtones: float
    low: float
    high: float
    flatness: float
    decay_db: float


def _kind(strike: Strike, traits: _Traits) -> str:
    """One of ``KINDS``: what is left when nothing simpler fits is speech."""
    if strike.duration < LONGEST_CLICK:
        return "clicks"
    if traits.purity > PURE and abs(traits.glide) > LEAST_GLIDE:
        return "rising sweep" if traits.glide > 0 else "falling sweep"
    steady = traits.steadiness > STEADY
    tonal = steady and traits.harmonicity > HARMONIC
    if tonal and traits.decay_db > LEAST_DECAY_DB:
        return "bell"
    if tonal and traits.overtones > OVERTONES:
        return "tone"
    if steady and traits.purity > PURE:
        return "beep"
    if traits.high > ONE_SIDED:
        return "hiss"
    if traits.low > ONE_SIDED:
        return "rumble"
    return "noise" if traits.flatness > FLAT else "speech"


def _traits(strike: Strike) -> _Traits:
    power_FH, frequencies_H = _spectra(strike.samples)
    energy_F = power_FH.sum(axis=1)
    weight_F = energy_F / energy_F.sum()
    peak_F = frequencies_H[power_FH.argmax(axis=1)]
    near_FH = np.abs(frequencies_H / peak_F[:, None] - 1) < NEAR
    purity = float(((power_FH * near_FH).sum(axis=1) / energy_F * weight_F).sum())
    mean_H = (power_FH / energy_F[:, None]).mean(axis=0)
    fundamental = _fundamental(mean_H, frequencies_H)
    harmonic_H = _is_harmonic(frequencies_H, fundamental)
    bands = [(frequencies_H >= low) & (frequencies_H < high) for low, high in pairwise(_BANDS)]
    density = [mean_H[band].mean() for band in bands]
    return _Traits(
        purity=purity,
        glide=_glide(np.log2(peak_F), weight_F),
        steadiness=float(weight_F[_is_harmonic(peak_F, fundamental)].sum()),
        fundamental=fundamental,
        harmonicity=float(mean_H[harmonic_H].sum()),
        overtones=float(mean_H[harmonic_H & (frequencies_H > 1.5 * fundamental)].sum()),
        low=float(mean_H[frequencies_H < LOW_HZ].sum()),
        high=float(mean_H[frequencies_H > HIGH_HZ].sum()),
        flatness=float(np.exp(np.mean(np.log(np.array(density) + 1e-12))) / np.mean(density)),
        decay_db=_decay(strike.envelope_db),
    )


def _spectra(samples: Wave) -> tuple[Wave, Wave]:
    """Power of the frames that matter, every 5 ms (F, H), and the frequencies (H,), from 60 Hz."""
    padded = np.pad(samples, _WINDOW // 2)
    starts = np.arange(0, max(1, len(samples)), _HOP)
    frames = padded[np.minimum(starts, len(padded) - _WINDOW)[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
    power_FH: Wave = np.square(np.abs(np.fft.rfft(frames, _TRANSFORM)))
    frequencies_H: Wave = np.fft.rfftfreq(_TRANSFORM, 1 / SAMPLE_RATE).astype(np.float64)
    power_FH = power_FH[:, frequencies_H >= _BANDS[0]]
    energy_F = power_FH.sum(axis=1)
    return power_FH[energy_F > _LEAST_ENERGY * energy_F.max()], frequencies_H[frequencies_H >= _BANDS[0]]


def _fundamental(mean_H: Wave, frequencies_H: Wave) -> float:
    """The lowest peak of a spectrum that has a quarter of the highest one's power, in Hz."""
    strong = np.flatnonzero(mean_H >= _FUNDAMENTAL * mean_H.max())
    breaks = np.flatnonzero(np.diff(strong) > 1)
    lowest = strong[: breaks[0] + 1] if breaks.size else strong
    return float(frequencies_H[lowest[mean_H[lowest].argmax()]])


def _is_harmonic(frequency: Wave, fundamental: float) -> npt.NDArray[np.bool_]:
    """Which frequencies are near a multiple of the fundamental."""
    number = np.maximum(1, np.round(frequency / fundamental))
    return np.abs(frequency - number * fundamental) < np.minimum(0.25 * fundamental, 0.06 * frequency + 25)


def _decay(envelope_db: Wave) -> float:
    """The fall of a straight line through the level over its whole length but the edges, in decibels."""
    inner = envelope_db[_EDGE:-_EDGE]
    if len(inner) < 3:
        return 0.0
    slope, _ = np.polyfit(np.linspace(-0.5, 0.5, len(inner)), inner, 1)
    return -float(slope)


def _glide(octave_F: Wave, weight_F: Wave) -> float:
    """The rise of a straight line through a pitch track over its whole length, in octaves."""
    if len(octave_F) < 3:
        return 0.0
    place_F = np.linspace(-0.5, 0.5, len(octave_F))
    slope, _ = np.polyfit(place_F, octave_F, 1, w=np.sqrt(weight_F))
    return float(slope)
