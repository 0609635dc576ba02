"""What a picture contains (:class:`Scene`) and what a sentence asserts about it (:class:`Claims`)."""

from dataclasses import dataclass

from flagdit_core.errors import ConfigError
from flagdit_core.language import check_word
from flagdit_core.shapes import Shape
from flagdit_core.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES, SIZES
from lumina_image.world.vocabulary import OPPOSITES, PLACES, RELATIONS

CATEGORIES: tuple[str, ...] = ("one object", "two objects", "three objects")


@dataclass(frozen=True, kw_only=True)
class ObjectClaim:
    """What a sentence says about one object; None where it says nothing."""

    shape: str
    color: str | None = None
    size: str | None = None
    place: str | None = None

    def __post_init__(self) -> None:
        check_word("shape", self.shape, SHAPES)
        if self.color is not None:
            check_word("object colour", self.color, COLORS)
        if self.size is not None:
            check_word("size", self.size, SIZES)
        if self.place is not None:
            check_word("place", self.place, PLACES)


@dataclass(frozen=True, kw_only=True)
class RelationClaim:
    """The object numbered ``subject`` lies ``relation`` the object numbered ``reference``."""

    subject: int
    relation: str
    reference: int

    def __post_init__(self) -> None:
        check_word("relation", self.relation, RELATIONS)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Everything that a sentence asserts: its objects in order of mention (and no others), and how they lie."""

    objects: tuple[ObjectClaim, ...]
    relations: tuple[RelationClaim, ...] = ()
    background: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.objects) <= len(CATEGORIES):
            raise ConfigError(f"expected one to {len(CATEGORIES)} objects, got {len(self.objects)}")
        if self.background is not None:
            check_word("background", self.background, BACKGROUNDS)
        for claim in self.relations:
            numbers = {claim.subject, claim.reference}
            if len(numbers) != 2 or not numbers <= set(range(len(self.objects))):
                raise ConfigError(f"a relation needs two different objects of the {len(self.objects)}, got {claim}")

    @property
    def category(self) -> str:
        """One of :data:`CATEGORIES`."""
        return CATEGORIES[len(self.objects) - 1]

    @property
    def facts(self) -> frozenset[str]:
        """The assertions, one string each, equal for sentences that assert the same in another order."""
        names = [" ".join(filter(None, (o.size, o.color, o.shape, o.place))) for o in self.objects]
        facts = {f"object: {name} x{names.count(name)}" for name in names}
        facts.add(f"background: {self.background}")
        for claim in self.relations:
            subject, relation, reference = names[claim.subject], claim.relation, names[claim.reference]
            if relation in ("right of", "below"):
                subject, relation, reference = reference, OPPOSITES[relation], subject
            facts.add(f"relation: {subject} {relation} {reference}")
        return frozenset(facts)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture to draw, and the claims that a caption of it makes (``claims.objects[i]`` is about ``objects[i]``)."""

    background: str
    objects: tuple[Shape, ...]
    claims: Claims
