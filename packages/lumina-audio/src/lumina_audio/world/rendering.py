"""Make the sound of a scene: a pure function of it.

Legend: n samples of one strike, at 16 kHz.
"""

import numpy as np
import numpy.typing as npt
from scipy import signal

from lumina_audio.mel import SAMPLE_RATE
from lumina_audio.sound import LEVEL_WINDOW, Sound
from lumina_audio.world.recordings import recording
from lumina_audio.world.scene import Scene, SceneEvent

Wave = npt.NDArray[np.float64]

FADE = 0.008
"""Seconds over which strikes fade in and out, so that they do not click."""
SWEEP_RANGE_HZ = (300.0, 2400.0)
"""Where sweeps begin and end: three octaves."""
TONE_HARMONICS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18)
"""Amplitudes of a tone's harmonics."""
BELL_PARTIALS = ((1.0, 1.0, 1.0), (2.0, 0.4, 0.8), (2.76, 0.35, 0.6), (4.07, 0.15, 0.45))
"""Ratio to the fundamental, amplitude, and time to decay relative to the fundamental's, of a bell's partials."""
BELL_DECAY = 0.13
"""Seconds in which a bell's amplitude falls to 1/e: 67 dB a second."""
HISS_ABOVE_HZ, RUMBLE_BELOW_HZ = 3500.0, 260.0
"""Where noise is cut."""
CLICK_SECONDS, _CLICK_HZ, _CLICK_DECAY = 0.05, 1200.0, 0.008


def render(scene: Scene) -> Sound:
    """The sound of a scene.

    Args:
        scene: What is to be heard.

    Returns:
        Mono at 16 kHz, ``scene.seconds`` long to the sample, turned down as a whole where it would clip.
    """
    samples = np.zeros(round(scene.seconds * SAMPLE_RATE))
    for event in scene.events:
        for number, onset in enumerate(event.onsets):
            start = round(onset * SAMPLE_RATE)
            strike = _at_level(_strike(event, number), event.level_db)[: len(samples) - start]
            samples[start : start + len(strike)] += strike
    return Sound.of(samples, sample_rate=SAMPLE_RATE, safe=True)


def _strike(event: SceneEvent, number: int) -> Wave:
    """One strike, click or word, at any level."""
    time = np.arange(round(event.duration * SAMPLE_RATE)) / SAMPLE_RATE
    match event.kind:
        case "beep":
            return _faded(np.sin(2 * np.pi * event.frequency * time))
        case "tone":
            harmonics = enumerate(TONE_HARMONICS, start=1)
            return _faded(np.sum([a * _sine(k * event.frequency, time) for k, a in harmonics], axis=0))
        case "bell":
            partials = [a * _sine(r * event.frequency, time) * _decay(time, d) for r, a, d in BELL_PARTIALS]
            return _faded(np.sum(partials, axis=0))
        case "rising sweep" | "falling sweep":
            ends = SWEEP_RANGE_HZ if event.kind == "rising sweep" else SWEEP_RANGE_HZ[::-1]
            duration = max(event.duration, FADE)
            return _faded(signal.chirp(time, ends[0], duration, ends[1], method="logarithmic", phi=-90))
        case "noise" | "hiss" | "rumble":
            return _faded(_noise(event, number, len(time)))
        case "clicks":
            return _click()
        case "speech":
            return _spoken(event, number)
        case _:
            raise AssertionError(f"no sound for {event.kind!r}")


def _sine(frequency: float, time: Wave) -> Wave:
    """A sine, or silence above half the sample rate."""
    return np.sin(2 * np.pi * frequency * time) * (frequency < SAMPLE_RATE / 2)


def _decay(time: Wave, relative: float) -> Wave:
    """A bell's fall, in a time relative to its fundamental's."""
    return np.exp(-time / (BELL_DECAY * relative))


def _noise(event: SceneEvent, number: int, length: int) -> Wave:
    """White, high or low noise."""
    white = np.random.default_rng((event.seed, number)).normal(size=length + SAMPLE_RATE // 10)
    if event.kind == "noise":
        return white[:length]
    edge, side = (HISS_ABOVE_HZ, "high") if event.kind == "hiss" else (RUMBLE_BELOW_HZ, "low")
    cut = signal.butter(4, edge, side, output="sos", fs=SAMPLE_RATE)
    return signal.sosfilt(cut, white)[-length:]


def _click() -> Wave:
    """A short knock of two wooden partials."""
    time = np.arange(round(CLICK_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    partials = _sine(_CLICK_HZ, time) + 0.6 * _sine(2.3 * _CLICK_HZ, time)
    return partials * np.exp(-time / _CLICK_DECAY)


def _spoken(event: SceneEvent, number: int) -> Wave:
    """A recorded word, faster and higher, or slower and lower."""
    recorded = recording(event.voice, event.words[number]).astype(np.float64)
    places = np.arange(0, len(recorded) - 1, event.speed)
    return np.interp(places, np.arange(len(recorded)), recorded)


def _faded(wave: Wave) -> Wave:
    """With a raised-cosine fade at both ends."""
    length = min(round(FADE * SAMPLE_RATE), len(wave) // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    window = np.ones(len(wave))
    window[:length] = ramp
    window[len(wave) - length :] = ramp[::-1]
    return wave * window


def _at_level(wave: Wave, level_db: float) -> Wave:
    """Scaled so that the RMS of its loudest 50 ms is ``level_db``; shorter waves count as padded with silence."""
    window = round(LEVEL_WINDOW * SAMPLE_RATE)
    total = np.concatenate([[0.0], np.cumsum(np.square(wave)), np.full(window, np.square(wave).sum())])
    loudest = (total[window:] - total[:-window]).max() / window
    return wave * 10 ** (level_db / 20) / np.sqrt(loudest)
