"""Pictures as networks take them, and back."""

import numpy as np
import pytest
import torch

from flagdit_core.errors import CodecError
from flagdit_core.pixels import to_pictures, to_pixels


def test_every_level_comes_back() -> None:
    """All 256 levels survive the way to [-1, 1] and back, in arrays and tensors of any leading shape."""
    levels = np.arange(256 * 3, dtype=np.uint8).reshape(2, 1, 16, 8, 3)
    pixels = to_pixels(levels)
    assert pixels.shape == (2, 1, 3, 16, 8) and pixels.dtype == torch.float32 and pixels.is_contiguous()
    assert (pixels.min(), pixels.max()) == (-1, 1)
    assert torch.equal(pixels, to_pixels(torch.from_numpy(levels)))
    assert np.array_equal(to_pictures(pixels), levels)
    assert np.array_equal(to_pictures(to_pixels(levels[0, 0])), levels[0, 0])


def test_what_is_out_of_range_is_clipped() -> None:
    """Values between two levels go to the nearer one, values outside to the last."""
    pixels = torch.tensor([-3.0, -0.999, 0.001, 1.5])[:, None, None].expand(4, 3, 1)[..., None].bfloat16()
    assert to_pictures(pixels)[:, 0, 0, 0].tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_picture(value: float) -> None:
    """A codec that overflowed, as some VAEs do in float16, does not pass for a black picture."""
    pixels = torch.zeros(3, 2, 2)
    pixels[1, 0, 1] = value
    with pytest.raises(CodecError, match="not all finite"):
        to_pictures(pixels)
