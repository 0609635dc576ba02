"""Draw a scene frame by frame: every frame is a pure function of how far the film has got."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from flagdit_core.errors import ConfigError
from flagdit_core.shapes import Shape, draw_shapes
from lumina_video.world.scene import Actor, Scene

EDGE_MARGIN = 0.03
"""The least distance from a moving object's box to the picture's edge, as a fraction of the picture."""
LEAST_SIZE = 0.4
"""Radius of an object when it begins to grow, as a fraction of its largest."""
TURN = 180.0
"""Degrees that a turning object turns in a film."""

_DIRECTIONS = {"moves right": (1, 0), "moves left": (-1, 0), "moves down": (0, 1), "moves up": (0, -1)}


def pose(actor: Actor, phase: float) -> Shape:
    """What an object looks like at one moment.

    Args:
        actor: The object.
        phase: How far the film has got, from 0 to 1.

    Returns:
        The shape to draw.
    """
    x, y, radius, angle, opacity = actor.x, actor.y, actor.radius, 0.0, 1.0
    reach = 0.5 - actor.radius - EDGE_MARGIN
    match actor.motion:
        case "moves right" | "moves left" | "moves down" | "moves up":
            right, down = _DIRECTIONS[actor.motion]
            x, y = x + right * reach * (2 * phase - 1), y + down * reach * (2 * phase - 1)
        case "bounces up and down":
            y += reach * math.cos(2 * math.pi * phase)
        case "bounces from side to side":
            x += reach * math.cos(2 * math.pi * phase)
        case "grows":
            radius *= LEAST_SIZE + (1 - LEAST_SIZE) * phase
        case "shrinks":
            radius *= 1 - (1 - LEAST_SIZE) * phase
        case "fades in":
            opacity = phase
        case "fades out":
            opacity = 1 - phase
        case "turns clockwise":
            angle = TURN * phase
        case "turns counterclockwise":
            angle = -TURN * phase
        case "stays still":
            pass
        case _:
            raise ConfigError(f"unknown motion {actor.motion!r}")
    return Shape(shape=actor.shape, color=actor.color, radius=radius, x=x, y=y, angle=angle, opacity=opacity)


def frames(scene: Scene, num_frames: int, width: int, height: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures of a film, one after another.

    Args:
        scene: What to draw.
        num_frames: How many, at least 2; the first shows the beginning and the last the end.
        width: Width in pixels.
        height: Height in pixels.

    Yields:
        RGB pictures (height, width, 3), uint8, 0-255.

    Raises:
        ConfigError: There are too few frames, or a size is not positive.
    """
    if num_frames < 2:
        raise ConfigError(f"a film of the world needs at least 2 frames, got {num_frames}")
    for number in range(num_frames):
        shapes = [pose(actor, number / (num_frames - 1)) for actor in scene.actors]
        yield draw_shapes(scene.background, shapes, width, height)


def draw(scene: Scene, num_frames: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A whole film.

    Args:
        scene: What to draw.
        num_frames: How many frames, at least 2.
        width: Width in pixels.
        height: Height in pixels.

    Returns:
        RGB frames (num_frames, height, width, 3), uint8, 0-255.

    Example:
        >>> from lumina_video.world import sample_scene
        >>> draw(sample_scene(np.random.default_rng(0)), 8, 64, 48).shape
        (8, 48, 64, 3)
    """
    return np.stack(list(frames(scene, num_frames, width, height)))
