"""A picture followed back to its noise under its own sentence, and forward again under another one."""

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from flagdit_core.flow import VelocityFunction, invert, linear_times, midpoint
from flagdit_core.shapes import Shape
from lumina_image import ImagePipeline
from lumina_image.world import Scene, draw, parse

BEFORE = "a large red circle in the center on a white background"
AFTER = "a large blue circle in the center on a white background"
CIRCLE = Shape(shape="circle", color="red", radius=0.28, x=0.5, y=0.5)


def velocity_under(pipe: ImagePipeline, sentence: str) -> VelocityFunction:
    """The network's velocity for latents (1, C, h, w), without guidance: a guided flow is not followed back as well."""
    parts = pipe.components
    text = parts.text_encoder([sentence])
    return lambda x, t: parts.model(x, t, text.features, text.mask)


def save(pipe: ImagePipeline, latent: Tensor, name: str) -> None:
    """Decode and write one latent (1, C, h, w)."""
    pixels = (pipe.components.codec.decode(latent)[0] * 127.5 + 127.5).clamp(0, 255).round().to(torch.uint8)
    Image.fromarray(rearrange(pixels, "c h w -> h w c").numpy()).save(name)


@torch.no_grad()
def main() -> None:
    """Write the picture as it is, as it comes back, and as the other sentence has it."""
    pipe = ImagePipeline.from_pretrained("nano")
    picture = draw(Scene(background="white", objects=(CIRCLE,), claims=parse(BEFORE)), 128, 128)
    pixels = rearrange(torch.from_numpy(picture.astype(np.float32)), "h w c -> 1 c h w") / 127.5 - 1
    latent, times = pipe.components.codec.encode(pixels), linear_times(16)
    noise = invert(velocity_under(pipe, BEFORE), latent, times)
    save(pipe, latent, "before.png")
    save(pipe, midpoint(velocity_under(pipe, BEFORE), noise, times), "again.png")
    save(pipe, midpoint(velocity_under(pipe, AFTER), noise, times), "after.png")


if __name__ == "__main__":
    main()
