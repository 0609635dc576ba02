"""Captions as networks read them; espeak-ng is used where it is installed, and its absence is said in one line."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from flagdit_core.errors import BackendUnavailableError, CodecError, ConfigError
from lumina_audio import AudioPipeline
from lumina_audio.espeak import Voice, is_installed, speak
from lumina_audio.phonemes import phonemes, spell

installed = pytest.mark.skipif(not is_installed(), reason="espeak-ng is not installed")


@installed
def test_phonemes_of_words() -> None:
    """Words become IPA, option-like text is only text, and languages differ."""
    assert phonemes("seven") == "s\u02c8\u025bv\u0259n"
    assert phonemes("two  words").count(" ") == 1
    assert phonemes("-v") != ""
    assert phonemes("sieben", language="de") != phonemes("sieben")


@installed
def test_what_is_said_is_spelled_as_it_sounds() -> None:
    """espeak-ng itself spells what stands in quotes, and nothing else of the caption."""
    assert spell('a voice says "seven"', "phonemes") == 'a voice says "s\u02c8\u025bv\u0259n"'


@pytest.mark.usefixtures("fake_espeak")
@pytest.mark.parametrize(
    ("caption", "spelled"),
    [
        ('a low voice says "stop go", then a bell', 'a low voice says "fgbc tb", then a bell'),
        ('"one", then "two"', '"bar", then "gjb"'),
        ("a voice says \u201cno\u201d", "a voice says \u201cab\u201d"),
        ("a low bell", "a low bell"),
        ('nothing "" said', 'nothing "" said'),
        ('never "closed', 'never "closed'),
        ('"-v klingon"', '"-i xyvatba"'),
    ],
)
def test_only_what_stands_in_quotes_is_spelled(caption: str, spelled: str) -> None:
    """Sounds keep their words, whatever is said between straight or curly quotes; letters change nothing."""
    assert spell(caption, "phonemes") == spelled
    assert spell(caption, "characters") == caption


@pytest.fixture
def phonetic(pipe: AudioPipeline) -> AudioPipeline:
    """The tiny pipeline, as if it had been trained on phonemes."""
    return AudioPipeline(replace(pipe.components, defaults={**pipe.components.defaults, "spelling": "phonemes"}))


@pytest.mark.usefixtures("fake_espeak")
def test_the_network_reads_the_models_spelling(pipe: AudioPipeline, phonetic: AudioPipeline) -> None:
    """A model of phonemes makes of a text what one of letters makes of its phonemes, and tells the text itself."""
    said: dict[str, Any] = {"prompt": 'a voice says "no"', "negative_prompt": '"go"', "seed": 1}
    spelled = {"prompt": 'a voice says "ab"', "negative_prompt": '"tb"', "seed": 1}
    output = phonetic(**said)
    assert torch.equal(output.latents, pipe(**spelled).latents)
    assert not torch.equal(output.latents, pipe(**said).latents)
    told = output.report.settings
    assert (told["prompts"], told["negative_prompts"]) == (['a voice says "no"'], ['"go"'])
    assert (told["spelling"], pipe.spelling) == ("phonemes", "characters")


def test_a_model_of_phonemes_without_espeak(phonetic: AudioPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said needs the program, and the error says how to get it; sounds do not."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendUnavailableError, match="apt install espeak-ng"):
        phonetic('a voice says "no"')
    assert len(phonetic("a low bell").audios) == 1


def test_unknown_spellings_are_named(pipe: AudioPipeline) -> None:
    """A folder that names another spelling is refused, and nothing is read as letters instead."""
    strange = AudioPipeline(replace(pipe.components, defaults={**pipe.components.defaults, "spelling": "runes"}))
    with pytest.raises(ConfigError, match="expected a spelling of characters or phonemes, got 'runes'"):
        strange("a low bell")


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
