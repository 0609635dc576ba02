"""Pictures as networks take them, and back."""

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from flagdit_core.errors import CodecError

Pictures = npt.NDArray[np.uint8]


def to_pixels(pictures: Pictures | Tensor) -> Tensor:
    """Pictures as a codec encodes them.

    Args:
        pictures: RGB (..., H, W, 3), 0-255, uint8.

    Returns:
        (..., 3, H, W) float32 in [-1, 1].

    Example:
        >>> to_pixels(np.zeros((2, 4, 6, 3), dtype=np.uint8)).shape
        torch.Size([2, 3, 4, 6])
    """
    levels = pictures if isinstance(pictures, Tensor) else torch.from_numpy(np.array(pictures))
    return rearrange(levels, "... h w c -> ... c h w").contiguous().float() / 127.5 - 1


def to_shares(pixels: Tensor) -> Tensor:
    """What a codec decoded, from 0 to 1.

    Args:
        pixels: Floating point; values outside of [-1, 1] are clipped.

    Returns:
        The same shape, float32.

    Raises:
        CodecError: Some values are not finite: the codec's numbers do not fit into its dtype.
    """
    if not bool(pixels.isfinite().all()):
        raise CodecError("the codec's pixels are not all finite numbers; use bfloat16 or float32 weights")
    return ((pixels.float() + 1) / 2).clamp(0, 1)


def to_pictures(pixels: Tensor) -> Pictures:
    """What a codec decoded, as pictures.

    Args:
        pixels: (..., 3, H, W), floating point; values outside of [-1, 1] are clipped.

    Returns:
        RGB (..., H, W, 3), 0-255, uint8.

    Raises:
        CodecError: As :func:`to_shares`.
    """
    levels = (255 * to_shares(pixels)).round().byte()
    pictures: Pictures = rearrange(levels, "... c h w -> ... h w c").cpu().numpy()
    return pictures
