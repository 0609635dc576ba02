"""The verifier: calibrated on the world's own sounds, clean and distorted, and sharp on single facts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flagdit_core.errors import ShapeError
from flagdit_core.world import World
from lumina_audio.mel import griffin_lim, log_mel
from lumina_audio.sound import Sound
from lumina_audio.world import (
    CATEGORIES,
    Claims,
    EventClaim,
    Scene,
    SceneEvent,
    SoundWorld,
    calibrate,
    is_held_out,
    listen,
    parse,
    render,
    verify,
)


def _through_mel(sound: Sound) -> Sound:
    """What is left of a sound after its mel spectrogram and Griffin-Lim."""
    length = sound.samples.shape[1]
    mel = log_mel(F.pad(torch.from_numpy(sound.samples), (0, -length % 1024)))
    return Sound.of(griffin_lim(mel, num_iterations=24)[0, :length].numpy(), sample_rate=16_000, safe=True)


def _hum(sound: Sound) -> Sound:
    """With noise 60 dB under full scale."""
    generator = np.random.default_rng(int(np.abs(sound.samples).sum()))
    return Sound.of(sound.samples + generator.normal(0, 1e-3, sound.samples.shape), sample_rate=16_000, safe=True)


def _stereo_44100(sound: Sound) -> Sound:
    return sound.resampled(44_100).stereo()


@pytest.mark.parametrize(("count", "seconds"), [(150, 3.2), (60, 6.4)])
def test_calibration_on_clean_sounds(count: int, seconds: float) -> None:
    """At least 99 % of right captions pass; none with one fact swapped or one event unasked for."""
    rates = calibrate(count, seed=1, seconds=seconds)
    assert rates["right"]["all"] >= 0.99
    assert rates["swapped"]["all"] == 0
    assert rates["extra"]["all"] == 0
    assert {"count", "kind", "length", "loudness", "order", "pace", "pitch", "word"} <= set(rates["swapped"])


@pytest.mark.parametrize("distort", [_through_mel, _hum, _stereo_44100])
def test_calibration_on_distorted_sounds(distort: Callable[[Sound], Sound]) -> None:
    """Mel and back, noise, another rate and two channels leave 96 % of right captions passing and no wrong one."""
    rates = calibrate(30, seed=2, seconds=2.5, distort=distort)
    assert rates["right"]["all"] >= 0.96
    assert rates["swapped"]["all"] == 0


def _beeps(*, count: int = 2, frequency: float = 1700.0, duration: float = 0.11, level_db: float = -34.0) -> Sound:
    onsets = tuple(0.1 + number * (duration + 0.18) for number in range(count))
    event = SceneEvent(kind="beep", onsets=onsets, duration=duration, frequency=frequency, level_db=level_db)
    claims = Claims(events=(EventClaim(kind="beep", count=count),))
    return render(Scene(seconds=2.0, events=(event,), shown=claims.events, claims=claims))


@pytest.mark.parametrize(
    ("caption", "failing"),
    [
        ("two soft short high beeps", set()),
        ("two beeps", set()),
        ("two soft short low beeps", {"pitch"}),
        ("two soft long high beeps", {"length"}),
        ("two loud short high beeps", {"loudness"}),
        ("a soft short high beep", {"count"}),
        ("three soft short high beeps", {"count", "kind", "pitch", "length", "loudness"}),
        ("two high bells", {"kind"}),
        ("a beep, then a high beep", set()),
        ("a beep, then a hiss", {"kind", "order"}),
        ('a voice says "two"', {"count", "kind", "digit"}),
        ('a voice says "stop"', {"count", "kind", "word"}),
        ("a fast rhythm of clicks", {"count", "kind", "pace"}),
    ],
)
def test_only_the_wrong_fact_fails(caption: str, failing: set[str]) -> None:
    """Each kind of check fails by itself, and what a caption does not say is not checked."""
    verdict = verify(_beeps(), caption)
    assert {check.kind for check in verdict.checks if not check.passed} == failing
    assert verdict.passed == (not failing)


@pytest.mark.parametrize("frequency", [200.0, 300.0, 560.0, 740.0, 1480.0, 1900.0])
@pytest.mark.parametrize("level_db", [-34.0, -26.0, -18.0])
def test_measures_follow_the_sound(frequency: float, level_db: float) -> None:
    """Onset, duration, level and pitch are those that were rendered."""
    for number, event in enumerate(listen(_beeps(frequency=frequency, level_db=level_db, duration=0.36))):
        strike = event.strikes[0]
        assert strike.kind == "beep"
        assert strike.onset == pytest.approx(0.1 + number * 0.54, abs=0.015)
        assert strike.duration == pytest.approx(0.36, abs=0.03)
        assert strike.level_db == pytest.approx(level_db, abs=0.3)
        assert strike.pitch == ("low" if frequency < 403 else "middle" if frequency < 1051 else "high")


def test_uneven_clicks_are_no_steady_rhythm() -> None:
    """Clicks at random times have no pace, and two clicks are no rhythm at all."""

    def clicks(*onsets: float) -> Sound:
        event = SceneEvent(kind="clicks", onsets=onsets)
        claims = Claims(events=(EventClaim(kind="clicks", pace="slow"),))
        return render(Scene(seconds=3.0, events=(event,), shown=claims.events, claims=claims))

    assert listen(clicks(0.1, 0.56, 1.02, 1.48))[0].pace == "slow"
    assert listen(clicks(0.1, 0.3, 0.5, 0.7))[0].pace == "fast"
    assert listen(clicks(0.1, 0.3, 0.7, 0.9, 1.3))[0].pace == "galloping"
    assert listen(clicks(0.1, 0.3, 0.5, 1.1, 1.4, 2.2))[0].pace == "unclear"
    assert listen(clicks(0.1, 0.5))[0].kind == "unclear"


@pytest.mark.parametrize("samples", [np.zeros(32_000), np.full(32_000, 0.5), np.zeros(1600)])
def test_nothing_is_heard_in_nothing(samples: np.ndarray) -> None:
    """Silence passes no caption; a constant, which is inaudible, neither."""
    assert not verify(Sound.of(samples, sample_rate=16_000), "a beep").passed


def test_lasting_noise_is_no_speech() -> None:
    """White noise from end to end passes for noise alone."""
    noise = Sound.of(np.random.default_rng(0).normal(0, 0.05, 32_000), sample_rate=16_000)
    assert verify(noise, "a burst of noise").passed
    assert not any(verify(noise, f'a voice says "{word}"').passed for word in ("six", "stop"))


def test_what_is_too_short_is_refused() -> None:
    """A sound under a tenth of a second cannot be judged."""
    with pytest.raises(ShapeError, match=r"0\.1 seconds"):
        listen(Sound.of(np.zeros(100), sample_rate=16_000))


def test_the_world_gives_held_out_prompts_that_it_can_judge() -> None:
    """Prompts repeat by seed, fewer begin more, categories are balanced, and nothing was trained on."""
    world: World = SoundWorld(seconds=2.5)
    prompts = world.prompts(30, seed=4)
    assert prompts[:10] == world.prompts(10, seed=4)
    assert prompts != world.prompts(30, seed=5)
    assert {p.category: sum(q.category == p.category for q in prompts) for p in prompts} == dict.fromkeys(
        CATEGORIES, 10
    )
    silence = Sound.of(np.zeros(16_000), sample_rate=16_000)
    for prompt in prompts:
        claims = parse(prompt.text)
        assert is_held_out(claims)
        assert claims.category == prompt.category
        assert not world.verify(silence, prompt.text).passed
