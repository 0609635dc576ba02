"""A picture of a sound: time to the right, frequency upwards, bright is loud."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from flagdit_core.picture_files import save_png
from lumina_audio.sound import Sound

Picture = npt.NDArray[np.uint8]

RANGE_DB = 70.0
"""From full scale, which is brightest, down to what is black."""
_WINDOW_SECONDS, _HOP_SECONDS = 0.032, 0.004
_LOWEST_HZ = 60.0
_ROWS, _MARGIN_LEFT, _MARGIN_BOTTOM, _MARGIN_TOP, _MARGIN_RIGHT = 240, 56, 34, 10, 14
_MIN_COLUMNS, _MAX_COLUMNS = 240, 4096
_TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_MIN_TICK_PIXELS = 60
_FREQUENCIES = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_INK, _PAPER = (60, 60, 60), (255, 255, 255)
# Black, violet, red, orange, pale yellow: even steps of lightness, so that it reads in grey as well.
_COLORS = np.array([(0, 0, 4), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191)], dtype=np.float64)


def draw_spectrogram(sound: Sound) -> Image.Image:
    """A picture of the sound's spectrum over time, with axes in seconds and hertz.

    Frequencies are spaced logarithmically. Several channels are shown as their mean.

    Args:
        sound: At least one sample.

    Returns:
        8-bit RGB, wider for longer sounds (up to 4096 columns).
    """
    columns = int(np.clip(sound.seconds / _HOP_SECONDS, _MIN_COLUMNS, _MAX_COLUMNS))
    levels = _levels(sound, columns)
    size = (_MARGIN_LEFT + columns + _MARGIN_RIGHT, _MARGIN_TOP + _ROWS + _MARGIN_BOTTOM)
    picture = Image.new("RGB", size, _PAPER)
    picture.paste(Image.fromarray(_colored(levels)), (_MARGIN_LEFT, _MARGIN_TOP))
    draw = ImageDraw.Draw(picture)
    _draw_frequencies(draw, sound.sample_rate / 2)
    _draw_times(draw, sound.seconds, columns)
    return picture


def save_spectrogram(sound: Sound, path: Path | str, metadata: Mapping[str, Any] | None = None) -> None:
    """Write :func:`draw_spectrogram` as a PNG file.

    Args:
        sound: What to show.
        path: File to write; one that is there is replaced.
        metadata: JSON-ready settings that the sound was made with.

    Raises:
        OutputError: The file cannot be written.
    """
    save_png(draw_spectrogram(sound), path, metadata)


def _levels(sound: Sound, columns: int) -> npt.NDArray[np.float64]:
    """(_ROWS, columns) from 0, ``RANGE_DB`` under full scale, to 1; the highest frequency first."""
    samples = sound.mono().samples[0].astype(np.float64)
    window = max(16, round(_WINDOW_SECONDS * sound.sample_rate))
    padded = np.pad(samples, window)
    centres = window + np.linspace(0, len(samples) - 1, columns).round().astype(int)
    taper = np.hanning(window)
    frames = padded[centres[:, None] - window // 2 + np.arange(window)] * taper
    amplitude = np.abs(np.fft.rfft(frames, 4 * window)) * 2 / taper.sum()
    nyquist = sound.sample_rate / 2
    lowest = min(_LOWEST_HZ, nyquist / 4)
    frequencies = np.geomspace(nyquist, lowest, _ROWS)
    position = frequencies / nyquist * (amplitude.shape[1] - 1)
    below = np.minimum(position.astype(int), amplitude.shape[1] - 2)
    share = position - below
    rows = amplitude[:, below] * (1 - share) + amplitude[:, below + 1] * share
    decibels = 20 * np.log10(np.maximum(rows, 1e-9)).T
    levels: npt.NDArray[np.float64] = np.clip(1 + decibels / RANGE_DB, 0, 1)
    return levels


def _colored(levels: npt.NDArray[np.float64]) -> Picture:
    """Levels 0-1 (H, W) as colours (H, W, 3)."""
    stops = np.linspace(0, 1, len(_COLORS))
    return np.stack([np.interp(levels, stops, channel) for channel in _COLORS.T], axis=-1).round().astype(np.uint8)


def _draw_frequencies(draw: ImageDraw.ImageDraw, nyquist: float) -> None:
    """Ticks and labels of the frequency axis."""
    font = ImageFont.load_default(size=11)
    lowest = min(_LOWEST_HZ, nyquist / 4)
    for frequency in _FREQUENCIES:
        if not lowest <= frequency <= nyquist:
            continue
        row = _MARGIN_TOP + (_ROWS - 1) * np.log(nyquist / frequency) / np.log(nyquist / lowest)
        label = f"{frequency // 1000} kHz" if frequency >= 1000 else f"{frequency} Hz"
        draw.line((_MARGIN_LEFT - 4, row, _MARGIN_LEFT - 1, row), fill=_INK)
        draw.text((_MARGIN_LEFT - 7, row), label, fill=_INK, font=font, anchor="rm")


def _draw_times(draw: ImageDraw.ImageDraw, seconds: float, columns: int) -> None:
    """Ticks and labels of the time axis."""
    font = ImageFont.load_default(size=11)
    step = next((s for s in _TICK_STEPS if columns * s / seconds >= _MIN_TICK_PIXELS), 2 * seconds)
    bottom = _MARGIN_TOP + _ROWS
    for number in range(int(seconds / step + 1e-6) + 1):
        column = _MARGIN_LEFT + number * step / seconds * (columns - 1)
        draw.line((column, bottom, column, bottom + 3), fill=_INK)
        draw.text((column, bottom + 5), f"{number * step:g} s", fill=_INK, font=font, anchor="ma")
