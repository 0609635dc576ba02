"""The words of the picture world: what each looks like, and all the ways to say it.

In the phrase tables the first phrase is the canonical one. Every phrase listed is both spoken by
:func:`lumina_image.world.describe` and understood by :func:`lumina_image.world.parse`.
"""

Color = tuple[int, int, int]
"""Red, green and blue, 0-255."""

COLORS: dict[str, Color] = {
    "red": (214, 39, 40),
    "orange": (255, 140, 20),
    "yellow": (245, 225, 50),
    "green": (40, 160, 60),
    "blue": (35, 80, 215),
    "purple": (130, 45, 170),
    "cyan": (70, 215, 225),
    "pink": (250, 150, 195),
}
"""The colours that objects have."""

BACKGROUNDS: dict[str, Color] = {
    **COLORS,
    "white": (248, 248, 248),
    "black": (12, 12, 12),
    "gray": (128, 128, 128),
}
"""The colours that backgrounds have."""

SIZES: dict[str, float] = {"small": 0.14, "medium": 0.20, "large": 0.28}
"""Half the longest side of an object's box, as a fraction of the picture's shorter side."""

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

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "disc", "disk", "dot"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "donut", "doughnut"),
    "cross": ("cross", "plus sign"),
    "heart": ("heart",),
}
SHAPES: tuple[str, ...] = tuple(SHAPE_WORDS)
"""The shapes that objects have."""

COLOR_WORDS: dict[str, tuple[str, ...]] = {
    **{color: (color,) for color in BACKGROUNDS},
    "purple": ("purple", "violet"),
    "cyan": ("cyan", "turquoise"),
    "gray": ("gray", "grey"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "tiny", "little"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "big", "huge"),
}
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
BACKGROUND_PATTERNS: tuple[str, ...] = (
    "on {a} {color} background",
    "against {a} {color} backdrop",
    "against {a} {color} background",
    "on {a} {color} backdrop",
    "with {a} {color} background",
    "on {color}",
)
OPENINGS: tuple[str, ...] = ("", "a picture of", "an image of", "a drawing of")
