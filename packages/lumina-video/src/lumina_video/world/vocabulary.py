"""The words of the film world: how things move, and all the ways to say it; the first phrase is the canonical one.

Shapes, colours, sizes and backgrounds are those of ``flagdit_core.shapes``.
"""

MOTION_PHRASES: dict[str, tuple[str, ...]] = {
    "moves right": ("moves from left to right", "moves to the right", "slides to the right", "goes right"),
    "moves left": ("moves from right to left", "moves to the left", "slides to the left", "goes left"),
    "moves down": ("moves from top to bottom", "moves down", "sinks", "falls down"),
    "moves up": ("moves from bottom to top", "moves up", "rises", "floats up"),
    "bounces up and down": ("bounces up and down", "jumps up and down", "goes up and down"),
    "bounces from side to side": ("bounces from side to side", "swings from side to side", "goes to and fro"),
    "grows": ("grows", "gets bigger", "becomes larger"),
    "shrinks": ("shrinks", "gets smaller", "becomes smaller"),
    "fades in": ("fades in", "appears slowly", "slowly appears"),
    "fades out": ("fades out", "vanishes slowly", "slowly disappears"),
    "turns clockwise": ("turns clockwise", "rotates clockwise", "spins clockwise"),
    "turns counterclockwise": ("turns counterclockwise", "rotates counterclockwise", "turns anticlockwise"),
    "stays still": ("stays still", "does not move", "rests"),
}
MOTIONS: tuple[str, ...] = tuple(MOTION_PHRASES)

CATEGORIES: dict[str, tuple[str, ...]] = {
    "moving": ("moves right", "moves left", "moves down", "moves up"),
    "bouncing": ("bounces up and down", "bounces from side to side"),
    "resizing": ("grows", "shrinks"),
    "fading": ("fades in", "fades out"),
    "turning": ("turns clockwise", "turns counterclockwise"),
    "still": ("stays still",),
}
"""Films of one object, by the kind of motion."""

TWO_OBJECTS = "two objects"
"""The category of films of two objects, each with its own motion."""

KEEP_THEIR_SIZE = frozenset(MOTIONS) - {"grows", "shrinks"}
"""Motions during which a size can be told."""
