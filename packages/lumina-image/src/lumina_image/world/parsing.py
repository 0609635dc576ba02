"""Read a sentence of the world's language: what does it assert?

Grammar (words in vocabulary.py; case, commas, hyphens and a full stop do not matter)::

    sentence   = [opening] part { "and" | "," part }
    part       = [background] object { relation object | place | background }
    object     = ("a" | "an" | "one" | "the") [size] [color] shape
    background = ("on" | "against" | "with") [article] color ["background" | "backdrop"]

"the ..." means the object already mentioned that fits, if there is one.
"""

from flagdit_core.language import AND, ARTICLE, Phrases, Reader
from flagdit_core.shapes.phrases import COLOR, SHAPE, SIZE, read_background
from lumina_image.world.scene import Claims, ObjectClaim, RelationClaim
from lumina_image.world.vocabulary import OPENINGS, PLACE_PHRASES, RELATION_PHRASES

_PLACE = Phrases(
    {
        place: [p.replace("on the", preposition) for p in phrases for preposition in ("on the", "in the")]
        + [p.replace("center", "centre") for p in phrases]
        for place, phrases in PLACE_PHRASES.items()
    }
)
_RELATION = Phrases(RELATION_PHRASES)
_OPENING = Phrases({"opening": OPENINGS})


def parse(caption: str) -> Claims:
    """What a caption asserts.

    Args:
        caption: A sentence of the world's language, in any of its wordings.

    Returns:
        The claims, objects in order of mention.

    Raises:
        ConfigError: If the sentence is not of the language, or contradicts itself.

    Example:
        >>> parse("a huge violet disc on a grey backdrop").objects[0]
        ObjectClaim(shape='circle', color='purple', size='large', place=None)
    """
    example = "a large red circle in the center on a white background"
    return _Reading(Reader(caption, world="picture", example=example)).claims()


class _Reading:
    """What has been read of one caption so far."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._objects: list[ObjectClaim] = []
        self._relations: list[RelationClaim] = []
        self._background: str | None = None

    def claims(self) -> Claims:
        self._reader.take(_OPENING)
        while self._reader.rest:
            self._read_background()
            current = self._read_object()
            while self._read_relation(current) or self._read_place(current) or self._read_background():
                pass
            if self._reader.take(AND) and not self._reader.rest:
                raise self._reader.error("expected an object after 'and'")
        if not self._objects:
            raise self._reader.error("expected at least one object")
        return Claims(objects=tuple(self._objects), relations=tuple(self._relations), background=self._background)

    def _read_object(self) -> int:
        article = self._reader.take(ARTICLE)
        size, color = self._reader.take(SIZE), self._reader.take(COLOR)
        shape = self._reader.take(SHAPE)
        if shape is None:
            raise self._reader.error(f"expected {'a size, colour or shape' if color is None else 'a shape'}")
        if article == "known":
            fitting = [
                number
                for number, known in enumerate(self._objects)
                if known.shape == shape and color in (None, known.color) and size in (None, known.size)
            ]
            if len(fitting) > 1:
                raise self._reader.error(f"'the ... {shape}' could be any of {len(fitting)} objects; name its colour")
            if fitting:
                return fitting[0]
        self._objects.append(ObjectClaim(shape=shape, color=color, size=size))
        return len(self._objects) - 1

    def _read_relation(self, subject: int) -> bool:
        relation = self._reader.take(_RELATION)
        if relation is None:
            return False
        reference = self._read_object()
        self._relations.append(RelationClaim(subject=subject, relation=relation, reference=reference))
        return True

    def _read_place(self, number: int) -> bool:
        place = self._reader.take(_PLACE)
        if place is None:
            return False
        claim = self._objects[number]
        if claim.place not in (None, place):
            raise self._reader.error(f"one object cannot be at {claim.place!r} and at {place!r}")
        self._objects[number] = ObjectClaim(shape=claim.shape, color=claim.color, size=claim.size, place=place)
        return True

    def _read_background(self) -> bool:
        background = read_background(self._reader, self._background)
        self._background = background or self._background
        return background is not None
