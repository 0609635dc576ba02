"""The words of the picture world beside those of its shapes: places, relations, and ways to say them.

In the phrase tables the first phrase is the canonical one. Every phrase listed is both spoken by
:func:`lumina_image.world.describe` and understood by :func:`lumina_image.world.parse`.
"""

PLACES: dict[str, tuple[int, int]] = {
    "center": (0, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "left": (-1, 0),
    "right": (1, 0),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
"""Column and row of each place: -1 is left or top, 0 the middle, 1 right or bottom."""

RELATIONS: dict[str, tuple[int, int]] = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""The direction in which the subject lies as seen from the reference; y points down."""

OPPOSITES: dict[str, str] = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
"""The relation that holds when subject and reference change places."""

PLACE_PHRASES: dict[str, tuple[str, ...]] = {
    "center": ("in the center", "in the middle", "at the center", "in the centre"),
    "top": ("at the top", "near the top", "in the top center"),
    "bottom": ("at the bottom", "near the bottom", "in the bottom center"),
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    **{
        f"{row} {column}": (
            f"in the {row} {column} corner",
            f"at the {row} {column}",
            f"in the {row} {column}",
            f"in the {other} {column} corner",
        )
        for row, other in (("top", "upper"), ("bottom", "lower"))
        for column in ("left", "right")
    },
}
RELATION_PHRASES: dict[str, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of", "on the left side of"),
    "right of": ("right of", "to the right of", "on the right of", "on the right side of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath", "underneath"),
}
OPENINGS: tuple[str, ...] = ("", "a picture of", "an image of", "a drawing of")
