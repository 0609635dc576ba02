"""Read a sentence of the world's language: what does it assert?

Grammar (words in vocabulary.py; case, commas, hyphens and a full stop do not matter)::

    sentence = [opening] object [relation object]
    object   = ["a" | "an" | "one" | "the"] [size] color shape
"""

from flagdit_core.errors import ConfigError
from flagdit_core.language import Phrases, plain_words
from flagdit_core.shapes.phrases import COLOR, SIZE
from lumina_3d.world.scene import Claims, ObjectClaim
from lumina_3d.world.vocabulary import OPENINGS, RELATION_PHRASES, SHAPE_WORDS

_OPENING = Phrases({"opening": map(plain_words, OPENINGS)})
_ARTICLE = Phrases({"article": ("a", "an", "one", "the")})
_SHAPE = Phrases(SHAPE_WORDS)
_RELATION = Phrases(RELATION_PHRASES)


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
    _, rest = _OPENING.take(plain_words(caption))
    item, rest = _read_object(caption, rest)
    objects = [item]
    relation, rest = _RELATION.take(rest)
    if relation is not None:
        item, rest = _read_object(caption, rest)
        objects.append(item)
    if rest:
        raise _error(caption, "expected a relation or the end", rest)
    return Claims(objects=tuple(objects), relation=relation)


def _read_object(caption: str, rest: str) -> tuple[ObjectClaim, str]:
    """The object that the rest of a caption begins with, and what follows it."""
    _, rest = _ARTICLE.take(rest)
    size, rest = SIZE.take(rest)
    color, rest = COLOR.take(rest)
    if color is None:
        raise _error(caption, "expected a colour" if size else "expected a size or colour", rest)
    shape, rest = _SHAPE.take(rest)
    if shape is None:
        raise _error(caption, "expected a shape", rest)
    return ObjectClaim(shape=shape, color=color, size=size), rest


def _error(caption: str, problem: str, rest: str) -> ConfigError:
    where = f"before {rest!r}" if rest else "at the end"
    return ConfigError(
        f"{caption!r} is not in the object world's language: {problem} {where}; "
        "say for example 'a small blue cone on a large red cube'"
    )
