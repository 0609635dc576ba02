"""Which word is spoken, and in which register: the nearest of the recordings, by dynamic time warping.

Legend: n samples, F frames of a template, G frames of a word, K cepstral coefficients, W templates.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.world.recordings import SPEAKERS, recordings

Wave = npt.NDArray[np.float64]

NUM_CEPSTRA, NUM_FILTERS = 14, 32
FARTHEST = 14.0
"""A word whose nearest template is farther than this, in the units of :func:`distances`, is none of the world's."""
_FRAME, _WINDOW = 160, 400
_CEPSTRAL_WEIGHTS = 1 + 0.15 * np.arange(1, NUM_CEPSTRA + 1)
_RANGE = np.log(10.0) * 5.5  # what is 55 dB below a word's loudest band is silence


@dataclass(frozen=True, kw_only=True)
class Heard:
    """The recorded word nearest to a stretch of sound, the register of the voice that says it, and the distance."""

    word: str
    register: str
    distance: float


def recognise_word(samples: Wave) -> Heard:
    """The nearest of the world's words.

    Args:
        samples: (n,) mono at 16 kHz, one word, without silence around.

    Returns:
        The word, the register of its voice and its distance.
    """
    names, _, _ = _templates()
    reached = distances(samples)
    nearest = int(reached.argmin())
    voice, word = names[nearest]
    return Heard(word=word, register=SPEAKERS[voice].register, distance=float(reached[nearest]))


def distances(samples: Wave) -> Wave:
    """How far a word is from every template: (W,), the mean cepstral distance along the best alignment."""
    _, templates_WFK, lengths_W = _templates()
    word_GK = cepstra(samples)
    products_WFG = templates_WFK @ word_GK.T
    squares_WFG = np.square(templates_WFK).sum(-1)[..., None] + np.square(word_GK).sum(-1) - 2 * products_WFG
    total = _aligned(np.sqrt(np.maximum(squares_WFG, 0)))
    last = total[np.arange(len(lengths_W)), lengths_W - 1, -1]
    return last / (lengths_W + len(word_GK))


def cepstra(samples: Wave) -> Wave:
    """(F, K) mel-frequency cepstral coefficients every 10 ms, without the level, their mean over the word removed."""
    frames = _frames(samples, _WINDOW, _FRAME) * np.hamming(_WINDOW)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    bands = np.log(power @ _filters() + 1e-12)
    bands = np.maximum(bands, bands.max() - _RANGE)
    coefficients = fft.dct(bands, type=2, norm="ortho", axis=1)[:, 1 : NUM_CEPSTRA + 1] * _CEPSTRAL_WEIGHTS
    return coefficients - coefficients.mean(axis=0)


def _aligned(gaps_WFG: Wave) -> Wave:
    """Accumulated cost of the best path to each cell, one diagonal after another; a diagonal step counts for two."""
    _, num_rows, num_columns = gaps_WFG.shape
    total = np.full((len(gaps_WFG), num_rows + 1, num_columns + 1), np.inf)
    total[:, 0, 0] = 0.0
    for diagonal in range(num_rows + num_columns - 1):
        row = np.arange(max(0, diagonal - num_columns + 1), min(diagonal, num_rows - 1) + 1)
        column = diagonal - row
        gap = gaps_WFG[:, row, column]
        straight = np.minimum(total[:, row, column + 1], total[:, row + 1, column]) + gap
        total[:, row + 1, column + 1] = np.minimum(straight, total[:, row, column] + 2 * gap)
    return total[:, 1:, 1:]


@cache
def _templates() -> tuple[list[tuple[str, str]], Wave, npt.NDArray[np.int64]]:
    """(voice, word) of each template, their cepstra padded to one length (W, F, K), and their own lengths (W,)."""
    names = list(recordings())
    words = [cepstra(recordings()[name].astype(np.float64)) for name in names]
    lengths = np.array([len(word) for word in words])
    padded = np.stack([np.pad(word, ((0, lengths.max() - len(word)), (0, 0))) for word in words])
    return names, padded, lengths


@cache
def _filters() -> Wave:
    """(257, NUM_FILTERS) triangles of the mel bank."""
    from transformers.audio_utils import mel_filter_bank  # takes a while to import

    return np.asarray(mel_filter_bank(257, NUM_FILTERS, 100.0, 7600.0, SAMPLE_RATE, norm="slaney", mel_scale="slaney"))


def _frames(samples: Wave, window: int, hop: int) -> Wave:
    """(F, window) overlapping frames, centred every ``hop`` samples."""
    padded = np.pad(samples, window // 2)
    starts = np.arange(0, max(1, len(samples) - hop // 2), hop)
    return padded[starts[:, None] + np.arange(window)]
