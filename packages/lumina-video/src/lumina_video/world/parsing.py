"""Read a sentence of the film world's language: what does it assert?

Grammar (case, commas, hyphens and a full stop do not matter)::

    sentence   = part { "and" | "," part }
    part       = [background] object motion [background]
    object     = ("a" | "an" | "one" | "the") [size] [color] shape
    background = ("on" | "against" | "with") [article] color ["background" | "backdrop"]
"""

from flagdit_core.errors import ConfigError
from flagdit_core.language import Phrases, plain_words
from flagdit_core.shapes.phrases import BACKGROUND, COLOR, SHAPE, SIZE
from lumina_video.world.scene import Claims, ObjectClaim
from lumina_video.world.vocabulary import MOTION_PHRASES

_ALSO = {"moves right": ("moves right",), "moves left": ("moves left",), "stays still": ("is still",)}
_MOTION = Phrases({motion: (*phrases, *_ALSO.get(motion, ())) for motion, phrases in MOTION_PHRASES.items()})
_ARTICLE = Phrases({"article": ("a", "an", "one", "the")})
_AND = Phrases({"and": ("and",)})


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
    return _Reader(caption).read()


class _Reader:
    """A cursor over the words of one caption, and what has been read so far."""

    def __init__(self, caption: str) -> None:
        self._caption = caption
        self._rest = plain_words(caption)
        self._objects: list[ObjectClaim] = []
        self._background: str | None = None

    def read(self) -> Claims:
        while self._rest:
            self._read_background()
            self._read_object()
            self._read_background()
            if self._take(_AND) and not self._rest:
                raise self._error("expected an object after 'and'")
        if not self._objects:
            raise self._error("expected at least one object")
        return Claims(objects=tuple(self._objects), background=self._background)

    def _take(self, phrases: Phrases) -> str | None:
        """Step over a phrase and return its meaning, or None where none stands here."""
        meaning, self._rest = phrases.take(self._rest)
        return meaning

    def _read_object(self) -> None:
        self._take(_ARTICLE)
        size, color, shape = self._take(SIZE), self._take(COLOR), self._take(SHAPE)
        if shape is None:
            raise self._error(f"expected {'a size, colour or shape' if color is None else 'a shape'}")
        motion = self._take(_MOTION)
        if motion is None:
            raise self._error(f"expected what the {shape} does, such as 'moves from left to right' or 'stays still',")
        self._objects.append(ObjectClaim(shape=shape, motion=motion, color=color, size=size))

    def _read_background(self) -> None:
        background = self._take(BACKGROUND)
        if background is None:
            return
        if self._background not in (None, background):
            raise self._error(f"the background cannot be {self._background} and {background}")
        self._background = background

    def _error(self, problem: str) -> ConfigError:
        where = f"before {self._rest!r}" if self._rest else "at the end"
        return ConfigError(
            f"{self._caption!r} is not in the film world's language: {problem} {where}; "
            "say for example 'a red circle moves from left to right on a white background'"
        )
