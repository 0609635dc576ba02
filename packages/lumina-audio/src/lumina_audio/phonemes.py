"""Text as phonemes, for models whose prompts are spelled as they sound."""

from lumina_audio.espeak import run_espeak


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
