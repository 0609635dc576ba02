"""Read a sentence of the film world's language: what does it assert?

Grammar (case, commas, hyphens and a full stop do not matter)::

    sentence   = part { "and" | "," part }
    part       = [background] object motion [background]
    object     = ("a" | "an" | "one" | "the") [size] [color] shape
    background = ("on" | "against" | "with") [article] color ["background" | "backdrop"]
"""

from flagdit_core.language import AND, ARTICLE, Phrases, Reader
from flagdit_core.shapes.phrases import COLOR, SHAPE, SIZE, read_background
from lumina_video.world.scene import Claims, ObjectClaim
from lumina_video.world.vocabulary import MOTION_PHRASES

_ALSO = {"moves right": ("moves right",), "moves left": ("moves left",), "stays still": ("is still",)}
_MOTION = Phrases({motion: (*phrases, *_ALSO.get(motion, ())) for motion, phrases in MOTION_PHRASES.items()})


def parse(caption: str) -> Claims:
    """What a caption asserts.

    Args:
        caption: A sentence of the world's language, in any of its wordings.

    Returns:
        The claims, objects in order of mention.

    Raises:
        ConfigError: If the sentence is not of the language, or contradicts itself.

    Example:
        >>> parse("a violet disc gets bigger").objects[0]
        ObjectClaim(shape='circle', motion='grows', color='purple', size=None)
    """
    reader = Reader(caption, world="film", example="a red circle moves from left to right on a white background")
    objects: list[ObjectClaim] = []
    background = None
    while reader.rest:
        background = read_background(reader, background) or background
        objects.append(_read_object(reader))
        background = read_background(reader, background) or background
        if reader.take(AND) and not reader.rest:
            raise reader.error("expected an object after 'and'")
    if not objects:
        raise reader.error("expected at least one object")
    return Claims(objects=tuple(objects), background=background)


def _read_object(reader: Reader) -> ObjectClaim:
    """The object that stands next, and what it does."""
    reader.take(ARTICLE)
    size, color, shape = reader.take(SIZE), reader.take(COLOR), reader.take(SHAPE)
    if shape is None:
        raise reader.error(f"expected {'a size, colour or shape' if color is None else 'a shape'}")
    motion = reader.take(_MOTION)
    if motion is None:
        raise reader.error(f"expected what the {shape} does, such as 'moves from left to right' or 'stays still',")
    return ObjectClaim(shape=shape, motion=motion, color=color, size=size)
