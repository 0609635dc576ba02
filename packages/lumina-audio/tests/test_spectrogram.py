"""Pictures of sounds show energy where and when it is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flagdit_core.errors import OutputError
from lumina_audio.sound import Sound
from lumina_audio.spectrogram import draw_spectrogram, save_spectrogram


def _brightness(sound: Sound) -> np.ndarray:
    """The plot without its margins (rows, columns)."""
    picture = np.asarray(draw_spectrogram(sound).convert("L"), dtype=float)
    return picture[10:250, 56:-14]


def test_a_tone_is_a_line_at_its_time_and_frequency() -> None:
    """A tone in the second half lights the row of its frequency there, and nothing in the first half."""
    time = np.arange(16_000) / 16_000
    levels = _brightness(Sound.of(0.5 * np.sin(2 * np.pi * 1000 * time) * (time > 0.5), sample_rate=16_000))
    columns = levels.shape[1]
    assert levels[:, : columns // 2 - 10].max() == levels.min()
    row = levels[:, 3 * columns // 4].argmax()
    frequency = 8000 * (60 / 8000) ** (row / 239)
    assert frequency == pytest.approx(1000, rel=0.05)


def test_louder_is_brighter() -> None:
    """Brightness rises with level, down to black for silence."""
    brightness = []
    for amplitude in (0.0, 0.003, 0.03, 0.3):
        wave = amplitude * np.sin(np.arange(8000) / 3)
        brightness.append(_brightness(Sound.of(wave, sample_rate=16_000)).max())
    assert brightness == sorted(set(brightness))


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.001, 8000, 1), (0.5, 44_100, 2), (40.0, 8000, 1)])
def test_any_sound_has_a_picture(seconds: float, rate: int, channels: int, tmp_path: Path) -> None:
    """Very short, long and stereo sounds are drawn, in a width that is bounded."""
    samples = np.random.default_rng(0).normal(0, 0.1, (channels, max(1, round(seconds * rate))))
    save_spectrogram(Sound.of(np.clip(samples, -1, 1), sample_rate=rate), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert 300 <= picture.width <= 4200


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A picture that cannot be written raises our error."""
    with pytest.raises(OutputError, match="cannot write"):
        save_spectrogram(Sound.of(np.zeros(100), sample_rate=8000), tmp_path / "nowhere" / "a.png")
