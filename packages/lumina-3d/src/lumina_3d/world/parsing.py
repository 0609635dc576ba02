"""Read a sentence of the world's language: what does it assert?

Grammar (words in vocabulary.py; case, commas, hyphens and a full stop do not matter)::

    sentence = [opening] object [relation object]
    object   = ("a" | "an" | "one" | "the") [size] color shape
"""

import re
from collections.abc import Iterable, Mapping

from flagdit_core.errors import ConfigError
from lumina_3d.world.scene import Claims, ObjectClaim
from lumina_3d.world.vocabulary import COLOR_WORDS, OPENINGS, RELATION_PHRASES, SHAPE_WORDS, SIZE_WORDS

_Table = tuple[re.Pattern[str], dict[str, str]]


def _plain(text: str) -> str:
    """Lower case, without marks, single spaces."""
    return " ".join(re.sub(r"[,.;:\-]", " ", text.lower()).split())


def _table(words: Mapping[str, Iterable[str]]) -> _Table:
    """A pattern that matches the longest phrase of all, and what each phrase means."""
    meanings = {_plain(phrase): meaning for meaning, phrases in words.items() for phrase in phrases if phrase}
    longest_first = sorted(meanings, key=len, reverse=True)
    return re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?: |$)"), meanings


_OPENING = _table({"opening": OPENINGS})
_ARTICLE = _table({"article": ("a", "an", "one", "the")})
_SIZE, _COLOR, _SHAPE = _table(SIZE_WORDS), _table(COLOR_WORDS), _table(SHAPE_WORDS)
_RELATION = _table(RELATION_PHRASES)


def parse(caption: str) -> Claims:
    """What a caption asserts.

    Args:
        caption: A sentence of the world's language, in any of its wordings.

    Returns:
        The claims, objects in order of mention.

    Raises:
        ConfigError: If the sentence is not of the language, or asserts what cannot be.

    Example:
        >>> parse("a huge violet ball next to a red box").objects[0]
        ObjectClaim(shape='sphere', color='purple', size='large')
    """
    rest = _plain(caption)

    def take(table: _Table) -> str | None:
        """Step over a phrase of the table and return its meaning, or None where none stands here."""
        nonlocal rest
        pattern, meanings = table
        match = pattern.match(rest)
        if match is None:
            return None
        rest = rest[match.end() :]
        return meanings[match.group().strip()]

    def read_object() -> ObjectClaim:
        take(_ARTICLE)
        size, color = take(_SIZE), take(_COLOR)
        shape = take(_SHAPE)
        if color is None or shape is None:
            raise _error(caption, "expected a colour" if color is None else "expected a shape", rest)
        return ObjectClaim(shape=shape, color=color, size=size)

    take(_OPENING)
    objects = [read_object()]
    relation = take(_RELATION)
    if relation is not None:
        objects.append(read_object())
    if rest:
        raise _error(caption, "expected a relation or the end", rest)
    return Claims(objects=tuple(objects), relation=relation)


def _error(caption: str, problem: str, rest: str) -> ConfigError:
    where = f"before {rest!r}" if rest else "at the end"
    return ConfigError(
        f"{caption!r} is not in the object world's language: {problem} {where}; "
        "say for example 'a small blue cone on a large red cube'"
    )
