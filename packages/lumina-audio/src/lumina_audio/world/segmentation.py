"""Find the strikes in a sound: the stretches that are louder than the silence between them.

Legend: n samples, F frames of the envelope.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.sound import Sound

Wave = npt.NDArray[np.float64]

FRAME = 80
"""Samples from one frame of the envelope to the next: 5 ms."""
WINDOW = 4 * FRAME
SILENT_DB, HEARD_DB = -60.0, -43.0
"""Below the first nothing sounds; a stretch that never reaches the second is not heard."""
OVER_BACKGROUND_DB, LOUDEST_BACKGROUND_DB = 8.0, -47.0
"""A strike is so much louder than the background, the level under which the softest tenth of a sound lies."""
DROP_DB, NEIGHBOURHOOD = 26.0, 0.18
"""A frame this much softer than the loudest one within so many seconds is not part of a strike."""
CLOSED_GAP = 0.115
"""Shorter gaps, in seconds, are closed: stops inside spoken words."""


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A stretch of sound.

    Attributes:
        start: Sample at which it begins.
        stop: Sample before which it ends.
        samples: (n,) of it alone.
        envelope_db: (F,) its level every 5 ms, RMS of 20 ms.
    """

    start: int
    stop: int
    samples: Wave
    envelope_db: Wave

    @property
    def onset(self) -> float:
        """Seconds."""
        return self.start / SAMPLE_RATE

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.stop - self.start) / SAMPLE_RATE

    @property
    def level_db(self) -> float:
        """RMS of its loudest 50 ms, in decibels relative to full scale."""
        return Sound.of(self.samples, sample_rate=SAMPLE_RATE).level_db


def segment(samples: Wave) -> list[Strike]:
    """The strikes of a sound.

    Args:
        samples: (n,) mono at 16 kHz.

    Returns:
        In their order.
    """
    envelope = envelope_db(samples)
    width = 2 * round(NEIGHBOURHOOD * SAMPLE_RATE / FRAME) + 1
    nearby = ndimage.maximum_filter1d(envelope, width)
    background = min(float(np.percentile(envelope, 10)) + OVER_BACKGROUND_DB, LOUDEST_BACKGROUND_DB)
    sounding = envelope > np.maximum(max(SILENT_DB, background), nearby - DROP_DB)
    runs = _runs(_closed(sounding))
    heard = [(a, b) for a, b in runs if envelope[a:b].max() > HEARD_DB]
    return [
        Strike(start=a * FRAME, stop=b * FRAME, samples=samples[a * FRAME : b * FRAME], envelope_db=envelope[a:b])
        for a, b in heard
    ]


def envelope_db(samples: Wave) -> Wave:
    """(F,) RMS of 20 ms around the middle of every 5 ms, in decibels relative to full scale."""
    padded = np.pad(samples, (WINDOW // 2, WINDOW // 2 + FRAME))
    total = np.concatenate([[0.0], np.cumsum(np.square(padded))])
    starts = FRAME // 2 + FRAME * np.arange(max(1, -(-len(samples) // FRAME)))
    starts = np.minimum(starts, len(total) - 1 - WINDOW)
    power = (total[starts + WINDOW] - total[starts]) / WINDOW
    return 10 * np.log10(np.maximum(power, 1e-12))


def _closed(sounding: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """With short gaps inside filled."""
    filled = sounding.copy()
    for (_, end), (begin, _) in zip(_runs(sounding), _runs(sounding)[1:], strict=False):
        if (begin - end) * FRAME < CLOSED_GAP * SAMPLE_RATE:
            filled[end:begin] = True
    return filled


def _runs(sounding: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounding, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
