"""The words of the object world: what each stands for, and all the ways to say it.

Colours and the words for colours and sizes are core's (:mod:`flagdit_core.shapes.vocabulary`), shared with the worlds
of flat shapes. In the phrase tables the first phrase is the canonical one. Every phrase listed is both spoken by
:func:`lumina_3d.world.describe` and understood by :func:`lumina_3d.world.parse`.
"""

SIZES: dict[str, float] = {"small": 0.24, "medium": 0.31, "large": 0.4}
"""Half the longest side of an object's box, in world units; a default camera sees about 1.06 to each side."""

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

RELATION_PHRASES: dict[str, tuple[str, ...]] = {
    "on": ("on", "on top of", "standing on"),
    "beside": ("beside", "next to", "by the side of"),
}
OPENINGS: tuple[str, ...] = ("a 3d model of", "a render of", "a sculpture of")
