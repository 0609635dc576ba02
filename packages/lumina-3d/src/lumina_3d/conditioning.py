"""What is given of an object already: a picture of its front, as cells of its latent."""

import numpy as np
import torch
from PIL import Image, ImageOps

from flagdit_core.codec import Codec
from flagdit_core.errors import ConfigError
from flagdit_core.picture_files import on_white
from flagdit_core.pipeline import Known
from flagdit_core.pipeline.arguments import FrameSize
from flagdit_core.pixels import to_pixels

Shape = tuple[int, int, int, int]


def known_front(codec: Codec, image: Image.Image, shape: Shape, size: FrameSize, device: torch.device) -> Known:
    """The cells of the first view, which sees the front.

    Args:
        codec: Encodes the picture.
        image: Of any size; it is scaled to fit into a view, and what is left over has the colour of its corner.
        shape: (C, V, h, w) of the latent.
        size: Of a view.
        device: Where the codec is.

    Returns:
        Values (C, V, h, w) and mask (1, V, 1, 1).

    Raises:
        ConfigError: There is no other view to make, or the image is no picture.
    """
    if shape[1] < 2:
        raise ConfigError("a picture of the front is the only view, which leaves none to make: ask for more views")
    image = on_white(image)
    corner = tuple(np.asarray(image)[0, 0].tolist())
    view = ImageOps.pad(image, (size.width, size.height), Image.Resampling.LANCZOS, color=corner)
    values, mask = torch.zeros(shape), torch.zeros(1, shape[1], 1, 1, dtype=torch.bool)
    values[:, 0] = codec.encode(to_pixels(np.asarray(view))[None].to(device))[0].cpu()
    mask[:, 0] = True
    return Known(values=values, mask=mask)
