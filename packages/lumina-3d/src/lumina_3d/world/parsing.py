"""Read a sentence of the world's language: what does it assert?

Grammar (words in vocabulary.py; case, commas, hyphens and a full stop do not matter)::

    sentence = [opening] object [relation object]
    object   = ["a" | "an" | "one" | "the"] [size] color shape
"""

from flagdit_core.language import ARTICLE, Phrases, Reader
from flagdit_core.shapes.phrases import COLOR, SIZE
from lumina_3d.world.scene import Claims, ObjectClaim
from lumina_3d.world.vocabulary import OPENINGS, RELATION_PHRASES, SHAPE_WORDS

_OPENING = Phrases({"opening": OPENINGS})
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
    reader = Reader(caption, world="object", example="a small blue cone on a large red cube")
    reader.take(_OPENING)
    objects = [_read_object(reader)]
    relation = reader.take(_RELATION)
    if relation is not None:
        objects.append(_read_object(reader))
    if reader.rest:
        raise reader.error("expected a relation or the end")
    return Claims(objects=tuple(objects), relation=relation)


def _read_object(reader: Reader) -> ObjectClaim:
    """The object that stands next."""
    reader.take(ARTICLE)
    size, color = reader.take(SIZE), reader.take(COLOR)
    if color is None:
        raise reader.error("expected a colour" if size else "expected a size or colour")
    shape = reader.take(_SHAPE)
    if shape is None:
        raise reader.error("expected a shape")
    return ObjectClaim(shape=shape, color=color, size=size)
