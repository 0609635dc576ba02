"""What there is (:class:`Scene`) and what a sentence asserts about it (:class:`Claims`)."""

from dataclasses import dataclass

from flagdit_core.errors import ConfigError
from flagdit_core.language import check_word
from flagdit_core.shapes.vocabulary import COLORS
from lumina_3d.world.vocabulary import RELATIONS, SHAPES, SIZES, SUPPORTS

CATEGORIES: tuple[str, ...] = ("one object", "one on another", "side by side")


@dataclass(frozen=True, kw_only=True)
class ObjectClaim:
    """What a sentence says about one object; no size where it says nothing about it."""

    shape: str
    color: str
    size: str | None = None

    def __post_init__(self) -> None:
        check_word("shape", self.shape, SHAPES)
        check_word("colour", self.color, COLORS)
        if self.size is not None:
            check_word("size", self.size, SIZES)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a sentence asserts: its objects in order of mention (and no others), and how two of them stand."""

    objects: tuple[ObjectClaim, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        if len(self.objects) != (1 if self.relation is None else 2):
            raise ConfigError(
                f"expected one object, or two and their relation, got {len(self.objects)} and {self.relation!r}"
            )
        if self.relation is not None:
            check_word("relation", self.relation, RELATIONS)
            if len({claim.color for claim in self.objects}) < 2:
                raise ConfigError("expected two objects of different colours")
        if self.relation == "on" and self.objects[1].shape not in SUPPORTS:
            raise ConfigError(
                f"nothing can stand on a {self.objects[1].shape}; objects stand on a {' or a '.join(SUPPORTS)}"
            )

    @property
    def category(self) -> str:
        """One of :data:`CATEGORIES`."""
        return CATEGORIES[0 if self.relation is None else 1 + RELATIONS.index(self.relation)]

    @property
    def facts(self) -> tuple[str, ...]:
        """The assertions, one string each, equal for sentences that assert the same in other words."""
        names = [" ".join(filter(None, (claim.size, claim.color, claim.shape))) for claim in self.objects]
        return (*names, self.relation or "alone")


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One object: its shape, its colour and its size, all words of the vocabulary."""

    shape: str
    color: str
    size: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Objects to show, and the claims that a caption makes (``claims.objects[i]`` is about ``objects[i]``)."""

    objects: tuple[SceneObject, ...]
    claims: Claims
