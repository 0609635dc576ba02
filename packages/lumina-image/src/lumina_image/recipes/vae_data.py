"""Pictures of the world for the VAE: 64-pixel crops around edges, and whole pictures.

Most of a world picture is flat and teaches nothing. Crops around edges show several times as many of the pixels that
are hard; whole pictures in between show what they look like to the group norms, whose statistics are over a picture.
"""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flagdit_core.pixels import to_pixels
from flagdit_core.scenes import Split
from lumina_image.world.drawing import draw
from lumina_image.world.sampling import sample_scene

EDGE_THRESHOLD = 40
"""The least sum of absolute differences (8-bit, over channels, to the right and lower neighbour) that makes an edge."""


def whole_pictures(generator: np.random.Generator, count: int, size: int, *, held_out: bool = False) -> Tensor:
    """``count`` square world pictures as float32 (count, 3, size, size) in [-1, 1]."""
    split: Split = "held_out" if held_out else "train"
    return to_pixels(np.stack([draw(sample_scene(generator, split=split), size, size) for _ in range(count)]))


def edge_crops(
    generator: np.random.Generator,
    count: int,
    crop_size: int,
    picture_sizes: tuple[int, ...],
    *,
    crops_per_picture: int = 2,
) -> Tensor:
    """Crops of world pictures, each around a random edge pixel.

    Args:
        generator: Source of randomness; the crops are a pure function of its state.
        count: How many crops.
        crop_size: Side of a crop in pixels.
        picture_sizes: Sides of the square pictures to cut from; each at least ``crop_size``.
        crops_per_picture: Crops cut from one picture before the next one is drawn.

    Returns:
        Crops (count, 3, crop_size, crop_size), float32 in [-1, 1].
    """
    crops: list[npt.NDArray[np.uint8]] = []
    while len(crops) < count:
        size = int(generator.choice(picture_sizes))
        picture = draw(sample_scene(generator, split="train"), size, size)
        edges = _edge_pixels(picture)
        for _ in range(min(crops_per_picture, count - len(crops))):
            on_edge = edges[generator.integers(len(edges))]
            top, left = np.clip(on_edge - generator.integers(crop_size, size=2), 0, size - crop_size)
            crops.append(picture[top : top + crop_size, left : left + crop_size])
    return to_pixels(np.stack(crops))


def _edge_pixels(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(row, column) of each pixel that differs from its right or lower neighbour; objects are visible, so some do."""
    levels = picture.astype(np.int16)
    down = np.abs(np.diff(levels, axis=0)).sum(axis=2)[:, :-1]
    right = np.abs(np.diff(levels, axis=1)).sum(axis=2)[:-1]
    return np.argwhere(down + right > EDGE_THRESHOLD)
