"""espeak-ng is used where it is installed, and its absence is said in one line."""

import pytest

from flagdit_core.errors import BackendUnavailableError, CodecError, ConfigError
from lumina_audio.espeak import Voice, is_installed, speak
from lumina_audio.phonemes import phonemes

installed = pytest.mark.skipif(not is_installed(), reason="espeak-ng is not installed")


@installed
def test_phonemes_of_words() -> None:
    """Words become IPA, option-like text is only text, and languages differ."""
    assert phonemes("seven") == "s\u02c8\u025bv\u0259n"
    assert phonemes("two  words").count(" ") == 1
    assert phonemes("-v") != ""
    assert phonemes("sieben", language="de") != phonemes("sieben")


@installed
def test_speech_depends_on_the_voice() -> None:
    """A text is spoken, and faster speech is shorter."""
    slow, fast = (speak("seven", Voice(words_per_minute=speed)) for speed in (120, 240))
    assert slow.sample_rate == 22_050
    assert fast.seconds < slow.seconds


@installed
def test_unknown_languages_are_named() -> None:
    """espeak-ng's own complaint is passed on."""
    with pytest.raises(CodecError, match="espeak-ng failed"):
        phonemes("seven", language="klingonese")


def test_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program the error says how to get it and what works without."""
    monkeypatch.setenv("PATH", "")
    assert not is_installed()
    with pytest.raises(BackendUnavailableError, match="apt install espeak-ng"):
        phonemes("seven")


@pytest.mark.parametrize("settings", [{"pitch": 100}, {"words_per_minute": 20}])
def test_impossible_voices(settings: dict[str, int]) -> None:
    """Pitches and speeds that espeak-ng would clamp silently are refused."""
    with pytest.raises(ConfigError, match="expected a pitch"):
        Voice(**settings)
