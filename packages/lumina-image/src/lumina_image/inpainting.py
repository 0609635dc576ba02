"""What a picture and a mask say of a latent: which cells are given already."""

import numpy as np
import torch
from einops import reduce
from PIL import Image

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.picture_files import of_bytes, on_white
from flagdit_core.pipeline import Components, Known
from flagdit_core.pipeline.arguments import FrameSize
from flagdit_core.pixels import to_pixels


def known_part(
    components: Components, image: Image.Image | None, mask: Image.Image | None, size: FrameSize
) -> Known | None:
    """The cells of a picture that are to be kept.

    Args:
        components: Whose codec encodes the picture.
        image: The picture; None without in-painting.
        mask: White where it is to be painted anew; a latent cell is kept if all of its pixels are black.
        size: Of the picture to be made, and so of both.

    Returns:
        Values (C, H, W) and mask (1, H, W) in latent cells; None without a picture.

    Raises:
        ConfigError: One of the two is missing or no picture, or the mask leaves nothing to paint.
        ShapeError: One of them has another size.
    """
    if image is None and mask is None:
        return None
    if image is None or mask is None:
        raise ConfigError("in-painting needs both image and mask_image, white where the picture is to be painted anew")
    image, mask = on_white(image), of_bytes(mask)
    for name, picture in (("image", image), ("mask_image", mask)):
        if picture.size != (size.width, size.height):
            raise ShapeError(f"expected {name} of {size} pixels, got {picture.width}x{picture.height}")
    anew = torch.from_numpy(np.asarray(mask.convert("L")) >= 128)
    if not bool(anew.any()):
        raise ConfigError("mask_image is black everywhere: there is nothing to paint")
    kept = ~reduce(anew, "(rows y) (columns x) -> 1 rows columns", "max", rows=size.rows, columns=size.columns)
    pixels = to_pixels(np.asarray(image))[None]
    return Known(values=components.codec.encode(pixels.to(components.model.device))[0], mask=kept)
