"""Painting a part of a picture anew."""

import numpy as np
import pytest
import torch
from PIL import Image

from flagdit_core.errors import ConfigError, ShapeError
from lumina_image import ImagePipeline

SIZE = (48, 32)


def _mask(left: int) -> Image.Image:
    """White from a column on."""
    mask = Image.new("L", SIZE, 0)
    mask.paste(255, (left, 0, *SIZE))
    return mask


@pytest.fixture
def image() -> Image.Image:
    """Noise, so that every cell differs."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8))


@torch.no_grad()
def test_what_is_black_is_kept(pipe: ImagePipeline, image: Image.Image) -> None:
    """Cells whose pixels are all black have the picture's latent; one white pixel makes a cell new."""
    made = pipe("a red circle", image=image, mask_image=_mask(20), seed=1).latents
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    kept = pipe.components.codec.encode(pixels)
    free = pipe("a red circle", seed=1).latents
    torch.testing.assert_close(made[..., :2], kept[..., :2], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(made[..., 2:3], kept[..., 2:3], atol=1e-2)
    assert not torch.allclose(made[..., 3:], free[..., 3:], atol=1e-4)


def test_what_is_clear_of_a_picture_is_white(pipe: ImagePipeline) -> None:
    """As it is in a file that the command line reads."""
    clear, white = Image.new("RGBA", SIZE, (255, 0, 0, 0)), Image.new("RGB", SIZE, "white")
    one, other = (pipe("a", image=each, mask_image=_mask(20), seed=1).latents for each in (clear, white))
    assert torch.equal(one, other)


def test_pictures_and_masks_of_sixteen_bits(pipe: ImagePipeline) -> None:
    """They mean what they mean in eight: nothing is cut off at white."""
    levels = np.random.default_rng(0).integers(0, 256, SIZE[::-1], dtype=np.uint16)
    left = np.arange(SIZE[0]) // 20 * 100  # black, dark, and white from column 40 on
    one, other = (
        pipe("a", image=image, mask_image=mask, seed=1).latents
        for image, mask in (
            (Image.fromarray(levels.astype(np.uint8)), _mask(40)),
            (Image.fromarray(256 * levels), Image.fromarray(np.tile(256 * left, (SIZE[1], 1)).astype(np.uint16))),
        )
    )
    assert torch.equal(one, other)


def test_bad_input(pipe: ImagePipeline, image: Image.Image) -> None:
    """A picture without a mask, a mask without white, and another size each get their line."""
    with pytest.raises(ConfigError, match="needs both image and mask_image"):
        pipe("a red circle", image=image)
    with pytest.raises(ConfigError, match="nothing to paint"):
        pipe("a red circle", image=image, mask_image=Image.new("L", SIZE, 0))
    with pytest.raises(ConfigError, match="expected a PIL image, got ndarray"):
        pipe("a red circle", image=np.asarray(image), mask_image=_mask(20))
    with pytest.raises(ShapeError, match="expected image of 48x32 pixels, got 32x32"):
        pipe("a red circle", image=image.resize((32, 32)), mask_image=_mask(20))
