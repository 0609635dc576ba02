"""How the words that a caption says are spelled for the network: in letters, or as they sound."""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from flagdit_core.errors import ConfigError
from lumina_audio.espeak import run_espeak

Spelling = Literal["characters", "phonemes"]

_SAID = re.compile(r'(["“])([^"“”]+)(["”])')
"""What stands in quotes, straight or curly."""


def model_spelling(defaults: Mapping[str, Any]) -> Spelling:
    """The spelling that a model was trained on.

    Args:
        defaults: Of its folder; they name it as ``spelling``.

    Returns:
        The spelling; "characters" where none is named.

    Raises:
        ConfigError: It is none that there is.
    """
    named = defaults.get("spelling", "characters")
    for spelling in get_args(Spelling):
        if named == spelling:
            known: Spelling = spelling
            return known
    raise ConfigError(f"expected a spelling of {' or '.join(get_args(Spelling))}, got {named!r}")


def spell(caption: str, spelling: Spelling) -> str:
    """A caption as a network of that spelling reads it, in training and afterwards.

    Args:
        caption: What is said in it stands in quotes.
        spelling: "characters" changes nothing; "phonemes" spells what stands in quotes as it sounds.

    Returns:
        The caption.

    Raises:
        BackendUnavailableError: Something is said, in phonemes, and espeak-ng is not installed.
        CodecError: espeak-ng fails.

    Example:
        >>> spell('a low voice says "seven"', "characters")
        'a low voice says "seven"'
        >>> spell('a low voice says "seven"', "phonemes")  # doctest: +SKIP
        'a low voice says "sˈɛvən"'
    """
    if spelling == "characters":
        return caption
    return _SAID.sub(lambda match: f"{match[1]}{phonemes(match[2])}{match[3]}", caption)


def phonemes(text: str, *, language: str = "en-us") -> str:
    """How a text is pronounced, in the International Phonetic Alphabet.

    Args:
        text: What to say.
        language: As espeak-ng calls it.

    Returns:
        Words separated by single spaces, with stress marks.

    Raises:
        BackendUnavailableError: espeak-ng is not installed.
        CodecError: espeak-ng knows no such language.

    Example:
        >>> phonemes("seven")  # doctest: +SKIP
        'sˈɛvən'
    """
    spoken = run_espeak(["-q", "--ipa", "-v", language], text)
    return " ".join(spoken.decode().split())
