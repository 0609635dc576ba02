"""How worlds talk: one of several ways to say a thing, and reading any of them back."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from flagdit_core.errors import ConfigError

_Words = TypeVar("_Words")

CANONICAL_PROBABILITY = 0.6
"""How often a random wording uses the first phrase where there are others."""


class Speaker:
    """Chooses words.

    Args:
        generator: Source of randomness; without one the first phrase is always chosen.
        canonical_probability: How often the first phrase is chosen where there are others.

    Example:
        >>> Speaker(None).word(("circle", "disc"))
        'circle'
    """

    def __init__(
        self, generator: np.random.Generator | None, *, canonical_probability: float = CANONICAL_PROBABILITY
    ) -> None:
        self._generator = generator
        self._canonical_probability = canonical_probability

    @property
    def is_canonical(self) -> bool:
        """Whether it always chooses the first phrase."""
        return self._generator is None

    def happens(self, probability: float) -> bool:
        """Whether an event of this probability happens; never without a generator."""
        return self._generator is not None and bool(self._generator.random() < probability)

    def word(self, words: Sequence[_Words]) -> _Words:
        """One of several phrases that mean the same, or of their forms such as singular and plural."""
        if self._generator is None or len(words) == 1 or self._generator.random() < self._canonical_probability:
            return words[0]
        return words[1 + int(self._generator.integers(len(words) - 1))]

    def any_of(self, words: Sequence[str]) -> str:
        """One of several phrases, all equally likely; the first without a generator."""
        return words[0] if self._generator is None else words[int(self._generator.integers(len(words)))]


def article(word: str) -> str:
    """The indefinite article of a word, by its first letter."""
    return "an" if word[0] in "aeiou" else "a"


def check_word(what: str, word: str, known: Collection[str]) -> None:
    """Refuse a word that a world does not know.

    Args:
        what: What the word stands for, such as "colour".
        word: The word.
        known: All that can stand there.

    Raises:
        ConfigError: It is none of them.
    """
    if word not in known:
        expected = f"expected a {what} out of {', '.join(known)}" if known else f"there is no {what}"
        raise ConfigError(f"{expected}; got {word!r}")


class Phrases:
    """Phrases and what they mean; the longest that fits is read first.

    Args:
        words: Meaning to all the phrases for it, in any case and punctuation.

    Example:
        >>> Phrases({"circle": ("circle", "disc"), "d": ("d",)}).take("disc on red")
        ('circle', 'on red')
    """

    def __init__(self, words: Mapping[str, Iterable[str]]) -> None:
        self._meanings = {plain_words(phrase): meaning for meaning, phrases in words.items() for phrase in phrases}
        self._meanings.pop("", None)
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
    return " ".join(re.sub(r"[\W_]", " ", sentence.lower()).split())


ARTICLE = Phrases({"new": ("a", "an", "one"), "known": ("the",)})
"""Of something new, or of something that may have been mentioned before."""
AND = Phrases({"and": ("and",)})


class Reader:
    """A cursor over the words of one caption.

    Args:
        caption: The caption; case and punctuation do not matter.
        world: Whose language it should be of, for messages.
        example: A sentence of that language, for messages.

    Example:
        >>> reader = Reader("A circle", world="picture", example="a red circle")
        >>> reader.take(ARTICLE), reader.rest
        ('new', 'circle')
    """

    def __init__(self, caption: str, *, world: str, example: str) -> None:
        self._caption, self._world, self._example = caption, world, example
        self._rest = plain_words(caption)

    @property
    def rest(self) -> str:
        """The words that have not been read."""
        return self._rest

    def take(self, phrases: Phrases) -> str | None:
        """Step over a phrase and return its meaning, or None where none stands here."""
        meaning, self._rest = phrases.take(self._rest)
        return meaning

    def error(self, problem: str) -> ConfigError:
        """What to raise where the caption is not of the language: what was expected here, or what contradicts."""
        where = f"before {self._rest!r}" if self._rest else "at the end"
        return ConfigError(
            f"{self._caption!r} is not in the {self._world} world's language: {problem} {where}; "
            f"say for example {self._example!r}"
        )
