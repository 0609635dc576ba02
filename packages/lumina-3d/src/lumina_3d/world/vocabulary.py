"""The words of the object world: what each stands for, and all the ways to say it.

In the phrase tables the first phrase is the canonical one. Every phrase listed is both spoken by
:func:`lumina_3d.world.describe` and understood by :func:`lumina_3d.world.parse`.
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
"""The colours of objects in full light."""

SIZES: dict[str, float] = {"small": 0.22, "medium": 0.3, "large": 0.4}
"""Half the longest side of an object's box, in world units; a default camera sees about 1.1 to each side."""

RELATIONS: tuple[str, ...] = ("on", "beside")
"""Of the first object mentioned to the second: stands on top of it, or stands left of it on the same ground."""

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "cube": ("cube", "box", "block"),
    "sphere": ("sphere", "ball"),
    "cone": ("cone",),
    "cylinder": ("cylinder", "drum"),
    "torus": ("torus", "donut", "doughnut", "ring"),
    "pyramid": ("pyramid",),
}
SHAPES: tuple[str, ...] = tuple(SHAPE_WORDS)
"""The shapes that objects have."""

SUPPORTS: tuple[str, ...] = ("cube", "cylinder")
"""The shapes that another object can stand on."""

COLOR_WORDS: dict[str, tuple[str, ...]] = {
    **{color: (color,) for color in COLORS},
    "purple": ("purple", "violet"),
    "cyan": ("cyan", "turquoise"),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "tiny", "little"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "big", "huge"),
}
RELATION_PHRASES: dict[str, tuple[str, ...]] = {
    "on": ("on", "on top of", "standing on"),
    "beside": ("beside", "next to", "by the side of"),
}
OPENINGS: tuple[str, ...] = ("", "a 3d model of", "a render of", "an object:")
