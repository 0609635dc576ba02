"""How worlds talk: one of several ways to say a thing, and reading any of them back."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

CANONICAL_PROBABILITY = 0.6
"""How often a random wording uses the first phrase where there are others."""


class Speaker:
    """Chooses words.

    Args:
        generator: Source of randomness; without one the first phrase is always chosen.

    Example:
        >>> Speaker(None).word(("circle", "disc"))
        'circle'
    """

    def __init__(self, generator: np.random.Generator | None) -> None:
        self._generator = generator

    @property
    def is_canonical(self) -> bool:
        """Whether it always chooses the first phrase."""
        return self._generator is None

    def happens(self, probability: float) -> bool:
        """Whether an event of this probability happens; never without a generator."""
        return self._generator is not None and bool(self._generator.random() < probability)

    def word(self, words: Sequence[str]) -> str:
        """One of several phrases that mean the same."""
        if self._generator is None or len(words) == 1 or self._generator.random() < CANONICAL_PROBABILITY:
            return words[0]
        return words[1 + int(self._generator.integers(len(words) - 1))]

    def any_of(self, words: Sequence[str]) -> str:
        """One of several phrases, all equally likely; the first without a generator."""
        return words[0] if self._generator is None else words[int(self._generator.integers(len(words)))]


def article(word: str) -> str:
    """The indefinite article of a word, by its first letter."""
    return "an" if word[0] in "aeiou" else "a"


class Phrases:
    """Phrases and what they mean; the longest that fits is read first.

    Args:
        words: Meaning to all the phrases for it, in lower case.

    Example:
        >>> Phrases({"circle": ("circle", "disc"), "d": ("d",)}).take("disc on red")
        ('circle', 'on red')
    """

    def __init__(self, words: Mapping[str, Iterable[str]]) -> None:
        self._meanings = {phrase: meaning for meaning, phrases in words.items() for phrase in phrases if phrase}
        longest_first = sorted(self._meanings, key=len, reverse=True)
        self._pattern = re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?: |$)")

    def take(self, text: str) -> tuple[str | None, str]:
        """The meaning of the phrase that a text begins with, and the rest of the text; None where none stands there."""
        match = self._pattern.match(text)
        if match is None:
            return None, text
        return self._meanings[match.group().strip()], text[match.end() :]


def plain_words(sentence: str) -> str:
    """A sentence in lower case without punctuation, words one space apart."""
    return " ".join(re.sub(r"[,.;\-]", " ", sentence.lower()).split())
