"""Saying and reading the words for shapes, colours, sizes and backgrounds."""

from collections.abc import Sequence

from flagdit_core.language import Phrases, Reader, Speaker, article
from flagdit_core.shapes.vocabulary import BACKGROUND_PATTERNS, COLOR_WORDS, COLORS, SHAPE_WORDS, SIZE_WORDS

BACKGROUND = Phrases(
    {
        color: [
            f"{preposition}{article} {word}{noun}"
            for word in words
            for preposition in ("on", "against", "with")
            for article in ("", " a", " an", " the")
            for noun in ("", " background", " backdrop")
            if noun or not article
        ]
        for color, words in COLOR_WORDS.items()
    }
)
SHAPE = Phrases({**SHAPE_WORDS, "cross": (*SHAPE_WORDS["cross"], "plus")})
COLOR = Phrases({color: COLOR_WORDS[color] for color in COLORS})
SIZE = Phrases(SIZE_WORDS)


def say_object(speaker: Speaker, shape_words: Sequence[str], *, color: str | None, size: str | None) -> str:
    """Words for something not mentioned before.

    Args:
        speaker: Chooses them.
        shape_words: All the words for its shape.
        color: Its colour, where it is told.
        size: Its size class, where it is told.

    Returns:
        For example "a small red circle".
    """
    told = [words[fact] for fact, words in ((size, SIZE_WORDS), (color, COLOR_WORDS)) if fact is not None]
    noun = " ".join(speaker.word(words) for words in (*told, shape_words))
    return f"{article(noun)} {noun}"


def say_background(speaker: Speaker, color: str) -> str:
    """Words for a background, such as "on a white background"."""
    word = speaker.word(COLOR_WORDS[color])
    return speaker.word(BACKGROUND_PATTERNS).format(a=article(word), color=word)


def read_background(reader: Reader, known: str | None) -> str | None:
    """The background that a caption names next.

    Args:
        reader: Over the caption; stepped past the background.
        known: What the caption has said of it before.

    Returns:
        Its colour; None where none stands here.

    Raises:
        ConfigError: It contradicts what is known.
    """
    background = reader.take(BACKGROUND)
    if background is not None and known not in (None, background):
        raise reader.error(f"the background cannot be {known} and {background}")
    return background
