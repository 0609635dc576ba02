"""Checking what a call of the image pipeline was given, once, before any work."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.pipeline import Components

_SEED_BITS = 32
_PIXEL_BYTES = 3 * 4  # RGB in float32


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """N pictures to make, prompt after prompt.

    Attributes:
        prompts: N texts.
        negative_prompts: N texts, or None for the null prompt.
        seeds: N seeds.
        indices: N picture numbers under their seeds.
        height: Pixels.
        width: Pixels.
        latent_shape: (C, H, W) of each latent.
    """

    prompts: list[str]
    negative_prompts: list[str | None]
    seeds: list[int]
    indices: list[int]
    height: int
    width: int
    latent_shape: tuple[int, int, int]

    def __str__(self) -> str:
        plural = "s" if len(self.prompts) > 1 else ""
        return f"{len(self.prompts)} picture{plural} of {self.width}x{self.height}"

    @property
    def num_bytes(self) -> int:
        """Bytes of the finished pixels alone."""
        return len(self.prompts) * self.height * self.width * _PIXEL_BYTES

    def as_dict(self) -> dict[str, Any]:
        """What a report says of it, beside the seeds and indices."""
        return {
            "prompts": self.prompts,
            "negative_prompts": self.negative_prompts,
            "height": self.height,
            "width": self.width,
        }


def check_arguments(
    components: Components,
    *,
    prompt: str | Sequence[str],
    negative_prompt: str | Sequence[str] | None,
    height: int | None,
    width: int | None,
    count: int,
    seed: int | Sequence[int] | None,
    first: int,
    latents: Tensor | None,
    guided: bool,
) -> ImageBatch:
    """The pictures that a call asks for.

    Args:
        components: Whose model and codec decide which sizes there are.
        prompt: One text or several.
        negative_prompt: One text for all, or one for each prompt.
        height: Pixels; None for the model's own.
        width: Pixels; None for the model's own.
        count: Pictures for each prompt.
        seed: One for all prompts, or one for each; None draws one for each.
        first: Number of the first picture under its seed.
        latents: Starting points.
        guided: Whether the negative prompt is used at all.

    Returns:
        The batch.

    Raises:
        ConfigError: An argument is out of range, or two contradict one another.
        ShapeError: The size is not divisible as the model needs, or ``latents`` has another shape.
    """
    prompts = _checked_prompts(prompt)
    negatives = _for_each(negative_prompt, len(prompts), "negative_prompt")
    if negative_prompt is not None and not guided:
        raise ConfigError("negative_prompt does nothing at guidance_scale=1; raise the scale or leave it out")
    if latents is not None and seed is not None:
        raise ConfigError("latents take the place of the noise that seed stands for; give one of them")
    _check_whole("num_images_per_prompt", count, 1)
    _check_whole("first_image_index", first, 0)
    patch, (_, rows, columns) = components.model.config.patch_size, components.codec.stride
    height = _checked_side("height", components.defaults.get("height") if height is None else height, rows * patch)
    width = _checked_side("width", components.defaults.get("width") if width is None else width, columns * patch)
    shape = (components.codec.latent_channels, height // rows, width // columns)
    if latents is not None and tuple(latents.shape) != (len(prompts) * count, *shape):
        raise ShapeError(f"expected latents of shape {(len(prompts) * count, *shape)}, got {tuple(latents.shape)}")
    return ImageBatch(
        prompts=[text for text in prompts for _ in range(count)],
        negative_prompts=[text for text in negatives for _ in range(count)],
        seeds=[value for value in _seeds(seed, len(prompts)) for _ in range(count)],
        indices=[first + number for _ in prompts for number in range(count)],
        height=height,
        width=width,
        latent_shape=shape,
    )


def _checked_side(name: str, pixels: int | None, multiple: int) -> int:
    """A side that the network can make."""
    if pixels is None:
        raise ConfigError(f"this model has no {name} of its own; give one, a multiple of {multiple}")
    if isinstance(pixels, bool) or not isinstance(pixels, int) or pixels < 1:
        raise ShapeError(f"{name} must be a positive number of pixels, a multiple of {multiple}, got {pixels!r}")
    if pixels % multiple:
        below, above = pixels // multiple * multiple, (pixels // multiple + 1) * multiple
        nearest = f"{below} and {above}" if below else f"{above}"
        raise ShapeError(f"{name} must be a multiple of {multiple}, got {pixels}; the nearest are {nearest}")
    return pixels


def _checked_prompts(prompt: str | Sequence[str]) -> list[str]:
    """The prompts as a list."""
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise ConfigError("expected at least one prompt, got an empty list")
    for text in prompts:
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"expected a prompt that says what to make, got {text!r}")
    return prompts


def _for_each(text: str | Sequence[str] | None, count: int, name: str) -> list[str | None]:
    """One text for all prompts, or one for each."""
    if text is None or isinstance(text, str):
        return [text] * count
    if len(text) != count:
        raise ConfigError(f"expected one {name}, or one for each of the {count} prompts, got {len(text)}")
    return list(text)


def _seeds(seed: int | Sequence[int] | None, count: int) -> list[int]:
    """One seed for each prompt."""
    if seed is None:
        return [secrets.randbits(_SEED_BITS) for _ in range(count)]
    if isinstance(seed, int):
        return [seed] * count
    if len(seed) != count:
        raise ConfigError(f"expected one seed, or one for each of the {count} prompts, got {len(seed)}")
    return list(seed)


def _check_whole(name: str, value: int, least: int) -> None:
    """Refuse what is not a whole number of at least so many."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")
