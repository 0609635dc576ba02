"""Sounds: what they refuse, how loud they are, and what changes of rate, channels and level keep."""

import numpy as np
import pytest

from flagdit_core.errors import CodecError, ConfigError
from lumina_audio.sound import PEAK_CEILING_DB, SANE_LEVELS_DB, SILENCE_DB, Sound

RATE = 16_000


def _sine(amplitude: float, *, frequency: float = 440.0, seconds: float = 0.5, rate: int = RATE) -> Sound:
    time = np.arange(round(seconds * rate)) / rate
    return Sound.of(amplitude * np.sin(2 * np.pi * frequency * time), sample_rate=rate)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((1, 0), np.float32),
        np.zeros((3, 8), np.float32),
        np.zeros((1, 8)),
        np.full((1, 8), 1.5, np.float32),
        np.full((1, 8), np.nan, np.float32),
    ],
)
def test_what_is_no_sound_is_refused(samples: np.ndarray) -> None:
    """No samples, three channels, doubles, samples past full scale and NaN raise one line."""
    with pytest.raises(CodecError, match="expected"):
        Sound(samples=samples, sample_rate=RATE)


@pytest.mark.parametrize("rate", [0, -1, 16000.0, True])
def test_impossible_sample_rates_are_refused(rate: int) -> None:
    """Only positive whole numbers of hertz are sample rates."""
    with pytest.raises(CodecError, match="sample rate"):
        Sound.of(np.zeros(8), sample_rate=rate)


def test_safe_turns_down_what_would_clip_and_nothing_else() -> None:
    """Peaks past full scale end at the ceiling, with the wave's form kept; what fits is untouched."""
    loud = np.array([0.5, -2.0, 1.0], np.float32)
    sound = Sound.of(loud, sample_rate=RATE, safe=True)
    assert sound.peak_db == pytest.approx(PEAK_CEILING_DB, abs=1e-4)
    np.testing.assert_allclose(sound.samples[0] / sound.samples[0, 2], loud, rtol=1e-6)
    quiet = np.array([0.25, -0.5], np.float32)
    assert np.array_equal(Sound.of(quiet, sample_rate=RATE, safe=True).samples[0], quiet)


def test_levels_of_known_waves() -> None:
    """A sine's level is 3 dB under its peak, wherever its loudest 50 ms are; silence has the least level."""
    assert _sine(0.5).level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    padded = np.concatenate([np.zeros(RATE), _sine(0.5).samples[0], np.zeros(RATE)])
    assert Sound.of(padded, sample_rate=RATE).level_db == pytest.approx(_sine(0.5).level_db, abs=0.05)
    assert Sound.of(np.zeros(100), sample_rate=RATE).level_db == SILENCE_DB


@pytest.mark.parametrize("amplitude", [1e-4, 0.01, 0.1, 1.0])
def test_levelling_leaves_what_is_sane_and_never_clips(amplitude: float) -> None:
    """Levels outside the sane range come to its nearer end, those inside stay, and the peak keeps below its ceiling."""
    before = _sine(amplitude)
    after, gain = before.levelled()
    assert after.level_db - before.level_db == pytest.approx(gain, abs=1e-3)
    assert SANE_LEVELS_DB[0] - 0.01 <= after.level_db <= SANE_LEVELS_DB[1] + 0.01
    assert after.peak_db <= PEAK_CEILING_DB + 1e-3
    if SANE_LEVELS_DB[0] < before.level_db < SANE_LEVELS_DB[1]:
        assert gain == 0


def test_levelling_keeps_silence_and_spiky_sounds_safe() -> None:
    """Silence is not amplified, and one spike over a whisper limits how far it is turned up."""
    silence = Sound.of(np.zeros(RATE), sample_rate=RATE)
    assert silence.levelled() == (silence, 0.0)
    spike = np.zeros(RATE, np.float32)
    spike[0] = 0.2
    assert Sound.of(spike, sample_rate=RATE).levelled()[0].peak_db <= PEAK_CEILING_DB + 1e-3


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_duration_pitch_and_level(rate: int) -> None:
    """A tone at another rate lasts as long, has its frequency and is as loud."""
    before = _sine(0.3, frequency=1000.0)
    after = before.resampled(rate)
    assert after.samples.shape == (1, round(before.seconds * rate))
    spectrum = np.abs(np.fft.rfft(after.samples[0]))
    assert spectrum.argmax() / after.seconds == pytest.approx(1000, abs=3)
    assert after.level_db == pytest.approx(before.level_db, abs=0.1)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="positive"):
            before.resampled(wrong)


def test_channels() -> None:
    """Mono plays on both sides of stereo, and the mean of those is the same mono again."""
    mono = _sine(0.3)
    stereo = mono.stereo()
    assert stereo.num_channels == 2
    assert stereo.stereo().num_channels == 2
    np.testing.assert_allclose(stereo.mono().samples, mono.samples, atol=1e-7)
