"""What happens in a film (:class:`Scene`) and what a sentence asserts about it (:class:`Claims`)."""

from dataclasses import dataclass

from flagdit_core.errors import ConfigError
from flagdit_core.language import check_word
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES, SIZES
from lumina_video.world.vocabulary import CATEGORIES, KEEP_THEIR_SIZE, MOTIONS, TWO_OBJECTS


@dataclass(frozen=True, kw_only=True)
class ObjectClaim:
    """What a sentence says about one object; None where it says nothing."""

    shape: str
    motion: str
    color: str | None = None
    size: str | None = None

    def __post_init__(self) -> None:
        check_word("shape", self.shape, SHAPES)
        check_word("motion", self.motion, MOTIONS)
        if self.color is not None:
            check_word("object colour", self.color, COLORS)
        if self.size is not None:
            check_word("size", self.size, SIZES)
            if self.motion not in KEEP_THEIR_SIZE:
                raise ConfigError(f"an object that {self.motion} has no size of its own, got {self.size!r}")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Everything that a sentence asserts: its objects in order of mention, and no others."""

    objects: tuple[ObjectClaim, ...]
    background: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.objects) <= 2:
            raise ConfigError(f"expected one or two objects, got {len(self.objects)}")
        colors = [claim.color for claim in self.objects]
        if len(colors) == 2 and (None in colors or colors[0] == colors[1]):
            raise ConfigError("two objects need different colours, by which they are told apart")
        if self.background is not None:
            check_word("background", self.background, BACKGROUNDS)

    @property
    def category(self) -> str:
        """One of ``CATEGORIES``, or "two objects"."""
        if len(self.objects) == 2:
            return TWO_OBJECTS
        return next(name for name, motions in CATEGORIES.items() if self.objects[0].motion in motions)

    @property
    def facts(self) -> frozenset[str]:
        """The assertions, one string each, equal for sentences that assert the same in another order."""
        names = (" ".join(filter(None, (o.size, o.color, o.shape, o.motion))) for o in self.objects)
        return frozenset({f"background: {self.background}", *(f"object: {name}" for name in names)})


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One object of a film: what it looks like in the middle of its motion, and how it moves.

    Attributes:
        shape: One of ``SHAPES``.
        color: One of ``COLORS``.
        radius: Half the longest side of its box, in units of the picture's shorter side; the largest while it resizes.
        x: Centre, as a fraction of the width from the left; of what it moves around while it moves.
        y: Centre, as a fraction of the height from the top; likewise.
        motion: One of ``MOTIONS``.
    """

    shape: str
    color: str
    radius: float
    x: float
    y: float
    motion: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A film to draw, and the claims of its caption (``claims.objects[i]`` is about ``actors[i]``)."""

    background: str
    actors: tuple[Actor, ...]
    claims: Claims
