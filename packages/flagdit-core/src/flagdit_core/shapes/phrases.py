"""Reading the words for shapes, colours, sizes and backgrounds."""

from flagdit_core.language import Phrases
from flagdit_core.shapes.vocabulary import COLOR_WORDS, COLORS, SHAPE_WORDS, SIZE_WORDS

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
