"""The words of worlds made of flat shapes: what each looks like, and all the ways to say it; canonical words first."""

import math

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

BACKGROUND_PATTERNS: tuple[str, ...] = (
    "on {a} {color} background",
    "against {a} {color} backdrop",
    "against {a} {color} background",
    "on {a} {color} backdrop",
    "with {a} {color} background",
    "on {color}",
)
"""Ways to name a background, "on red" without an article."""

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("green", "triangle"),
        ("purple", "heart"),
        ("orange", "cross"),
        ("pink", "square"),
        ("cyan", "ring"),
        ("yellow", "star"),
    }
)
"""Colour and shape pairs that nothing that is trained on shows."""


def size_of(radius: float) -> str:
    """The size class whose radius is nearest in ratio."""
    return min(SIZES, key=lambda size: abs(math.log(radius / SIZES[size])))
