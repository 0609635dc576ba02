"""Going on from a sound, and changing a span of it."""

from typing import Any

import numpy as np
import pytest
import torch

from flagdit_core.errors import ConfigError, OutOfMemoryError
from lumina_audio import AudioPipeline, Sound
from lumina_audio.conditioning import CROSSFADE, fitting, known_sound, splice

RATE = 16_000
FADE = round(CROSSFADE * RATE)
PROMPT = "a low bell"


def _noise(seconds: float, *, rate: int = RATE, channels: int = 1, peak: float = 0.5) -> Sound:
    """Noise, so that every sample differs."""
    samples = np.random.default_rng(0).uniform(-peak, peak, (channels, round(seconds * rate)))
    return Sound.of(samples, sample_rate=rate)


def test_extension_keeps_what_is_given(pipe: AudioPipeline) -> None:
    """Up to the cross-fade the samples are the given ones exactly; after it they are made, to the length wanted."""
    given = _noise(0.3)
    output = pipe(PROMPT, audio=given, audio_length_in_s=0.5, seed=1)
    made = output.audios[0].samples[0]
    assert made.shape == (8000,)
    assert np.array_equal(made[: 4800 - FADE], given.samples[0, : 4800 - FADE])
    assert np.abs(made[4800 - FADE : 4800] - given.samples[0, 4800 - FADE : 4800]).max() > 1e-3
    assert np.abs(made[4800:]).max() > 1e-4
    assert output.report.settings["made_span"] == [0.3, 0.5]


def test_a_span_is_changed_and_nothing_else(pipe: AudioPipeline) -> None:
    """Outside the span every sample is the given one; inside every stretch is another; the duration is the sound's."""
    given = _noise(0.7)
    made = pipe(PROMPT, audio=given, audio_span=(0.2, 0.4), seed=1).audios[0].samples[0]
    changed = made != given.samples[0]
    assert made.shape == (11_200,)
    assert not changed[:3200].any() and not changed[6400:].any()
    assert changed[3200:6400].mean() > 0.95


@pytest.mark.parametrize("span", [(0.0, 0.2), (0.3, 0.5)])
def test_a_span_at_an_edge_is_made_up_to_it(span: tuple[float, float], pipe: AudioPipeline) -> None:
    """At the very beginning and end there is nothing to fade into: the first and last samples are made."""
    given = Sound.of(np.full(8000, 0.5), sample_rate=RATE)
    made = pipe(PROMPT, audio=given, audio_span=span, seed=1).audios[0].samples[0]
    edge = made[0] if span[0] == 0 else made[-1]
    assert abs(edge) < 0.25


def test_cells_outside_the_span_are_known(pipe: AudioPipeline) -> None:
    """The network is given the latents of the sound, but for cells that the span touches, and ends on them exactly."""
    given = _noise(0.512)
    codec: Any = pipe.components.codec
    known = known_sound(codec, given, (0.128, 0.2), 8, torch.device("cpu"))
    assert known.mask.tolist() == [[True, True, False, False, True, True, True, True]]
    latents = pipe(PROMPT, audio=given, audio_span=(0.128, 0.2), seed=1).latents[0]
    kept = known.mask[0]
    torch.testing.assert_close(latents[:, kept], known.values[:, kept], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(latents[:, ~kept], known.values[:, ~kept], atol=1e-2)


def test_what_is_replaced_leaves_no_trace(pipe: AudioPipeline) -> None:
    """Two sounds that differ inside the span alone give one result, and are not altered themselves."""
    first = _noise(0.7)
    samples = first.samples.copy()
    samples[:, 3200:6400] = 0.1
    other, before = Sound.of(samples, sample_rate=RATE), samples.copy()
    made = [pipe(PROMPT, audio=sound, audio_span=(0.2, 0.4), seed=1) for sound in (first, other)]
    assert torch.equal(made[0].latents, made[1].latents)
    inside = slice(3200 + FADE, 6400 - FADE)
    assert np.array_equal(made[0].audios[0].samples[:, inside], made[1].audios[0].samples[:, inside])
    assert np.array_equal(other.samples, before)


def test_what_is_given_matters(pipe: AudioPipeline) -> None:
    """The part that is made hears the part that is given."""
    quiet = Sound.of(np.zeros(4800), sample_rate=RATE)
    made = [pipe(PROMPT, audio=sound, audio_length_in_s=0.5, seed=1).latents[..., 6:] for sound in (_noise(0.3), quiet)]
    assert not torch.allclose(*made, rtol=0, atol=1e-4)


def test_cross_fades_have_no_jumps() -> None:
    """From one constant to another no step is larger than the fade's slope, whether going on or changing a span."""
    made = Sound.of(np.full(8000, -0.5), sample_rate=RATE)
    for length, span in ((4800, (0.3, 0.5)), (8000, (0.1, 0.3)), (8000, (0.1, 0.104)), (8000, (0.2, 0.5))):
        given = Sound.of(np.full(length, 0.5), sample_rate=RATE)
        mixed = splice(made, given, span).samples[0]
        fade = min(FADE, round((span[1] - span[0]) * RATE) // 2)
        assert np.abs(np.diff(mixed)).max() < 1.01 / fade, span
        assert mixed.min() == pytest.approx(-0.5, abs=1 / fade)


def test_loud_sounds_are_turned_down_as_a_whole(pipe: AudioPipeline) -> None:
    """What is given at full scale keeps its shape under one gain, instead of clipping."""
    given = _noise(0.3, peak=1.0)
    made = pipe(PROMPT, audio=given, audio_length_in_s=0.5, seed=1).audios[0]
    assert made.peak_db <= -0.99
    gains = made.samples[0, : 4800 - FADE] / given.samples[0, : 4800 - FADE]
    assert gains.max() - gains.min() < 1e-3


def test_other_rates_and_channels_are_made_to_fit(pipe: AudioPipeline, stereo_pipe: AudioPipeline) -> None:
    """A sound at another rate is resampled, stereo mixed down for a mono model and mono played on both sides."""
    stereo = _noise(0.3, rate=44_100, channels=2)
    assert pipe(PROMPT, audio=stereo, audio_length_in_s=0.5, seed=1).audios[0].samples.shape == (1, 8000)
    mono = _noise(0.05, rate=8000)
    made = stereo_pipe(PROMPT, audio=mono, seed=1).audios[0].samples
    assert made.shape == (2, 800)
    assert np.array_equal(made[:, :320], np.repeat(mono.samples[:, :320], 2, axis=0))
    codec: Any = stereo_pipe.components.codec
    assert fitting(mono, codec).num_channels == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"audio_span": (0.1, 0.2)}, "give both"),
        ({"audio": _noise(0.5)}, "nothing is left to make"),
        ({"audio": "a.wav"}, "audio must be a Sound, got str; read_sound reads one"),
        ({"audio": _noise(0.5), "audio_span": (0.1,)}, r"audio_span must be \(start, end\) in seconds, got \(0.1,\)"),
        ({"audio": _noise(0.5), "audio_span": ("a", "b")}, "audio_span must be"),
        ({"audio": _noise(0.5), "audio_span": 0.1}, "audio_span must be"),
        ({"audio": _noise(0.5), "audio_span": (0.2, 0.2)}, "its start before its end, got 0.2, 0.2"),
        ({"audio": _noise(0.5), "audio_span": (0.3, 0.2)}, "its start before its end"),
        ({"audio": _noise(0.5), "audio_span": (-0.1, 0.2)}, "within 0 and 0.50 s"),
        ({"audio": _noise(0.5), "audio_span": (0.1, 0.6)}, "within 0 and 0.50 s"),
        ({"audio": _noise(0.5), "audio_span": (float("nan"), 0.2)}, "within 0 and 0.50 s, .* got nan"),
        ({"audio": _noise(0.5), "audio_span": (0.01, 0.49)}, "leaves nothing of the sound"),
        ({"audio": _noise(0.3), "audio_span": (0.1, 0.2), "audio_length_in_s": 0.5}, "must begin there or before it"),
        ({"audio": _noise(0.3), "audio_span": (0.4, 0.5), "audio_length_in_s": 0.5}, "must begin there or before it"),
        ({"audio": _noise(0.03)}, "leaves nothing of the sound: cells of this model last 0.064 s"),
        ({"audio": _noise(0.3), "solver": "sde-heun"}, "without noise"),
    ],
)
def test_wrong_spans_and_lengths_are_one_line(arguments: dict[str, Any], says: str, pipe: AudioPipeline) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(ConfigError, match=says) as caught:
        pipe(PROMPT, **arguments)
    assert "\n" not in str(caught.value)


def test_an_extension_that_cannot_fit_is_refused_first(pipe: AudioPipeline) -> None:
    """Before anything is encoded."""
    with pytest.raises(OutOfMemoryError, match="1 sound of 1e"):
        pipe(PROMPT, audio=_noise(0.3), audio_length_in_s=1e9)
