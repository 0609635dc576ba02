"""The shipped voices: complete, small, clean, and what espeak-ng would say again."""

from pathlib import Path

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from lumina_audio.artifacts import read_metadata
from lumina_audio.espeak import is_installed
from lumina_audio.world.recordings import FOLDER, SPEAKERS, read_voices, record_voices, recording, recordings
from lumina_audio.world.speech import distances, recognise_word
from lumina_audio.world.vocabulary import REGISTERS, SPOKEN_WORDS


def test_every_voice_says_every_word() -> None:
    """No word of any voice is missing, empty, long or clipped, and all of it is a few hundred kilobytes."""
    assert set(recordings()) == {(voice, word) for voice in SPEAKERS for word in SPOKEN_WORDS}
    for samples in recordings().values():
        assert 0.25 < len(samples) / 16_000 < 0.8
        assert 0.3 < np.abs(samples).max() < 0.9
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


def test_provenance_is_in_every_file() -> None:
    """Each file says which program made it, and in which voice."""
    for name, speaker in SPEAKERS.items():
        made_with = read_metadata(FOLDER / f"{name}.ogg")
        assert (made_with["made_with"], made_with["voice"]) == ("espeak-ng", speaker.voice.name)


@pytest.mark.parametrize("name", list(SPEAKERS))
def test_voices_have_their_register(name: str) -> None:
    """The period of a voice's strongest vowel is that of its register."""
    samples = recording(name, "nine").astype(float)
    middle = samples[len(samples) // 2 - 640 :][:1280]
    correlation = np.correlate(middle, middle, "full")[len(middle) :]
    shortest = 16_000 // 250
    frequency = 16_000 / (1 + shortest + correlation[shortest : 16_000 // 70].argmax())
    assert frequency == pytest.approx(REGISTERS[SPEAKERS[name].register], rel=0.2)


def test_words_are_told_apart_across_voices() -> None:
    """With a voice's own templates left out, most words and nearly all registers are still right."""
    names = list(recordings())
    right = right_register = 0
    for voice, word in names[::3]:
        reached = distances(recording(voice, word).astype(float))
        others = [number for number, (other, _) in enumerate(names) if other != voice]
        nearest_voice, nearest_word = names[others[int(reached[others].argmin())]]
        right += nearest_word == word
        right_register += SPEAKERS[nearest_voice].register == SPEAKERS[voice].register
    assert right / len(names[::3]) > 0.8
    assert right_register / len(names[::3]) > 0.9


def test_noise_is_no_word() -> None:
    """What is far from every template is not taken for a word."""
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    assert recognise_word(noise).distance > 1.2 * recognise_word(recording("ada", "seven").astype(float)).distance + 5


def test_unknown_words_are_named() -> None:
    """A word that nobody recorded raises our error."""
    with pytest.raises(ConfigError, match="ten"):
        recording("ada", "ten")


@pytest.mark.skipif(not is_installed(), reason="espeak-ng is not installed")
def test_anybody_can_record_them_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function that made the shipped files makes readable ones."""
    monkeypatch.setattr("lumina_audio.world.recordings.SPOKEN_WORDS", ("six", "go"))
    monkeypatch.setattr("lumina_audio.world.recordings.SPEAKERS", {"dan": SPEAKERS["dan"]})
    record_voices(tmp_path)
    again = read_voices(tmp_path)
    assert set(again) == {("dan", "six"), ("dan", "go")}
    assert recognise_word(again["dan", "six"].astype(float)).word == "six"
