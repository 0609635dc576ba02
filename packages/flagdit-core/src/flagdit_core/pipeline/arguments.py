"""Checking what a call of any pipeline was given, once, before any work."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.pipeline.components import Components

_SEED_BITS = 32


@dataclass(frozen=True, kw_only=True)
class PromptBatch:
    """N things to make, prompt after prompt.

    Attributes:
        prompts: N texts.
        negative_prompts: N texts, or None for the null prompt.
        seeds: N seeds.
        indices: N numbers under their seeds.
    """

    prompts: list[str]
    negative_prompts: list[str | None]
    seeds: list[int]
    indices: list[int]

    def __len__(self) -> int:
        return len(self.prompts)

    def as_dict(self) -> dict[str, Any]:
        """What a report says of it, beside the seeds and indices."""
        return {"prompts": self.prompts, "negative_prompts": self.negative_prompts}


def check_prompts(
    prompt: str | Sequence[str],
    *,
    negative_prompt: str | Sequence[str] | None,
    guided: bool,
    count: int,
    first: int,
    seed: int | Sequence[int] | None,
    from_latents: bool = False,
    artifact: str,
) -> PromptBatch:
    """What a call asks for, whatever the medium.

    Args:
        prompt: One text or several.
        negative_prompt: One text for all, or one for each prompt.
        guided: Whether the negative prompt is used at all.
        count: Artifacts for each prompt.
        first: Number of the first one under its seed.
        seed: One for all prompts, or one for each; None draws one for each.
        from_latents: Whether starting points were given and all noise with them, which seeds would contradict.
        artifact: What the modality calls one, as in ``num_<artifact>s_per_prompt``.

    Returns:
        The batch.

    Raises:
        ConfigError: An argument is out of range, or two contradict one another.
    """
    prompts = _checked_prompts(prompt)
    negatives = _for_each(negative_prompt, len(prompts), "negative_prompt")
    for text in negatives:
        if text is not None:
            check_text(text)
    if negative_prompt is not None and not guided:
        raise ConfigError("negative_prompt does nothing at guidance_scale=1; raise the scale or leave it out")
    if from_latents and seed is not None:
        raise ConfigError("latents take the place of the noise that seed stands for; give one of them")
    check_whole(f"num_{artifact}s_per_prompt", count, 1)
    check_whole(f"first_{artifact}_index", first, 0)
    return PromptBatch(
        prompts=[text for text in prompts for _ in range(count)],
        negative_prompts=[text for text in negatives for _ in range(count)],
        seeds=[value for value in _seeds(seed, len(prompts)) for _ in range(count)],
        indices=[first + number for _ in prompts for number in range(count)],
    )


@dataclass(frozen=True, kw_only=True)
class FrameSize:
    """How large a picture, a frame or a view is, in pixels and in latent cells.

    Attributes:
        height: Pixels.
        width: Pixels.
        rows: Latent cells from top to bottom.
        columns: Latent cells from left to right.
    """

    height: int
    width: int
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def num_bytes(self) -> int:
        """Bytes of the finished pixels, RGB in float32."""
        return self.height * self.width * 3 * 4


def check_frame_size(components: Components, *, height: int | None, width: int | None) -> FrameSize:
    """The size that a call asks for.

    Args:
        components: Whose model and codec decide which sizes there are.
        height: Pixels; None for the model's own.
        width: Pixels; None for the model's own.

    Returns:
        The size.

    Raises:
        ConfigError: Neither the call nor the model names a size.
        ShapeError: The size is not divisible as the model needs.
    """
    patch, (_, rows, columns) = components.model.config.patch_size, components.codec.stride
    height = check_multiple("height", components.defaults.get("height") if height is None else height, rows * patch)
    width = check_multiple("width", components.defaults.get("width") if width is None else width, columns * patch)
    return FrameSize(height=height, width=width, rows=height // rows, columns=width // columns)


def check_latents(latents: Tensor | None, shape: tuple[int, ...]) -> None:
    """Refuse starting points of another shape.

    Args:
        latents: None where there are none.
        shape: What they must have, with the batch.

    Raises:
        ShapeError: They do not.
    """
    if latents is not None and tuple(latents.shape) != shape:
        raise ShapeError(f"expected latents of shape {shape}, got {tuple(latents.shape)}")


def check_multiple(name: str, value: int | None, multiple: int, *, unit: str = "pixels") -> int:
    """A length that the network can make.

    Args:
        name: Of the argument.
        value: None where neither the call nor the model says.
        multiple: What it must be a multiple of.
        unit: What it counts.

    Returns:
        The value.

    Raises:
        ConfigError: There is no value.
        ShapeError: It is not a positive multiple.
    """
    if value is None:
        raise ConfigError(f"this model has no {name} of its own; give one, a multiple of {multiple}")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ShapeError(f"{name} must be a positive number of {unit}, a multiple of {multiple}, got {value!r}")
    if value % multiple:
        below, above = value // multiple * multiple, (value // multiple + 1) * multiple
        nearest = f"the nearest are {below} and {above}" if below else f"the least is {above}"
        raise ShapeError(f"{name} must be a multiple of {multiple}, got {value}; {nearest}")
    return value


def check_text(text: str) -> None:
    """Refuse what no tokenizer takes: Python's stand-ins for bytes of another encoding than UTF-8.

    Args:
        text: To check.

    Raises:
        ConfigError: It holds one, or is no text.
    """
    if not isinstance(text, str):
        raise ConfigError(f"expected a text, got {text!r}")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ConfigError(f"expected a text in UTF-8, got {text!r}")


def check_whole(name: str, value: int, least: int) -> None:
    """Refuse what is not a whole number of at least so many.

    Args:
        name: Of the argument.
        value: To check.
        least: Smallest that is right.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _checked_prompts(prompt: str | Sequence[str]) -> list[str]:
    """The prompts as a list."""
    if not isinstance(prompt, Sequence):
        raise ConfigError(f"expected a prompt that says what to make, got {prompt!r}")
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise ConfigError("expected at least one prompt, got an empty list")
    for text in prompts:
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"expected a prompt that says what to make, got {text!r}")
        check_text(text)
    return prompts


def _for_each(text: str | Sequence[str] | None, count: int, name: str) -> list[str | None]:
    """One text for all prompts, or one for each."""
    if text is None or isinstance(text, str):
        return [text] * count
    if not isinstance(text, Sequence) or len(text) != count:
        raise ConfigError(f"expected one {name}, or one for each of the {count} prompts, got {text!r}")
    return list(text)


def _seeds(seed: int | Sequence[int] | None, count: int) -> list[int]:
    """One seed for each prompt."""
    if seed is None:
        return [secrets.randbits(_SEED_BITS) for _ in range(count)]
    if isinstance(seed, int):
        return [seed] * count
    if not isinstance(seed, Sequence) or len(seed) != count:
        raise ConfigError(f"expected one seed, a whole number, or one for each of the {count} prompts, got {seed!r}")
    return list(seed)
