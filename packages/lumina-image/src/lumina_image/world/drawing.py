"""Draw a scene."""

import numpy as np
import numpy.typing as npt

from flagdit_core.shapes import draw_shapes
from lumina_image.world.scene import Scene


def draw(scene: Scene, width: int, height: int, *, supersampling: int = 4) -> npt.NDArray[np.uint8]:
    """The picture of a scene.

    Args:
        scene: What to draw. Sizes are relative to the shorter side, positions to width and height.
        width: Width in pixels.
        height: Height in pixels.
        supersampling: Subdivisions of a pixel along each axis, for antialiasing.

    Returns:
        RGB picture (height, width, 3), uint8, 0-255.

    Raises:
        ConfigError: If a size is not positive.

    Example:
        >>> from lumina_image.world import sample_scene
        >>> draw(sample_scene(np.random.default_rng(0)), 64, 48).shape
        (48, 64, 3)
    """
    return draw_shapes(scene.background, scene.objects, width, height, supersampling=supersampling)
