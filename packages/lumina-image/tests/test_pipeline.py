"""ImagePipeline: what a call returns, what decides a picture, and what bad arguments get."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from flagdit_core.errors import CodecError, ConfigError, OutOfMemoryError, ShapeError
from flagdit_core.picture_codec import PictureCodec
from lumina_image import ImagePipeline

PROMPT = "a red circle"


def latents_of(pipe: ImagePipeline, prompt: Any = PROMPT, **arguments: Any) -> Tensor:
    """The latents of a call."""
    return pipe(prompt, output_type="latent", **arguments).latents


def test_default_call_gives_a_picture_of_the_models_size(pipe: ImagePipeline) -> None:
    """One prompt gives one RGB picture of the default size, and the report holds the drawn seed."""
    output = pipe(PROMPT)
    assert [image.size for image in output.images] == [(48, 32)]
    assert isinstance(output.images[0], Image.Image) and output.images[0].mode == "RGB"
    again = pipe(PROMPT, seed=output.report.settings["seeds"][0])
    assert np.array_equal(np.array(again.images[0]), np.array(output.images[0]))


def test_output_types_agree(pipe: ImagePipeline) -> None:
    """PIL, array, tensor and decoded latents are the same picture, in the documented shape and range."""
    pil, array, tensor = (pipe(PROMPT, seed=1, output_type=kind).images for kind in ("pil", "np", "pt"))
    assert isinstance(array, np.ndarray) and array.shape == (1, 32, 48, 3) and array.dtype == np.float32
    assert isinstance(tensor, Tensor) and tensor.shape == (1, 3, 32, 48)
    assert array.min() >= 0 and array.max() <= 1 and array.std() > 0.01
    assert np.array_equal(tensor[0].permute(1, 2, 0).numpy(), array[0])
    assert np.array_equal(np.array(pil[0]), np.round(array[0] * 255).astype(np.uint8))
    latent = pipe(PROMPT, seed=1, output_type="latent")
    assert isinstance(latent.images, Tensor) and latent.images.shape == (1, 4, 4, 6)
    assert torch.equal(((pipe.components.codec.decode(latent.images) + 1) / 2).clamp(0, 1), tensor)


def test_pictures_are_decoded_one_by_one(pipe: ImagePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decoded of a picture is given back before the next one is: it takes four times the picture's memory."""
    decode = PictureCodec.decode
    before: list[weakref.ref[Tensor]] = []

    def watched(self: PictureCodec, latents: Tensor) -> Tensor:
        assert not any(pixels() is not None for pixels in before[:-1])
        decoded = decode(self, latents)
        before.append(weakref.ref(decoded))
        return decoded

    monkeypatch.setattr(PictureCodec, "decode", watched)
    assert len(pipe(PROMPT, num_images_per_prompt=4).images) == len(before) == 4


def test_a_picture_depends_on_prompt_seed_and_number_alone(pipe: ImagePipeline) -> None:
    """Batches, their order, other prompts and other pictures change nothing; picture 2 of 3 is reproducible alone."""
    prompts = [PROMPT, "a blue square", "a green star"]
    batch = latents_of(pipe, prompts, seed=[4, 5, 6], num_images_per_prompt=3)
    turned = latents_of(pipe, prompts[::-1], seed=[6, 5, 4], num_images_per_prompt=3)
    torch.testing.assert_close(turned.view(3, 3, 4, 4, 6).flip(0).flatten(0, 1), batch, rtol=1e-4, atol=1e-4)
    alone = latents_of(pipe, prompts[1], seed=5, first_image_index=2)
    torch.testing.assert_close(alone[0], batch[5], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(batch[3], batch[5], atol=1e-2)


def test_every_argument_matters(pipe: ImagePipeline) -> None:
    """No argument of the call is ignored."""
    base = latents_of(pipe, seed=1)
    changes: list[dict[str, Any]] = [
        {"negative_prompt": "a star"},
        {"num_inference_steps": 5},
        {"guidance_scale": 6.0},
        {"solver": "heun"},
        {"time_shift": 3.0},
        {"guidance_interval": (0.5, 1.0)},
        {"guidance_rescale": 0.8},
        {"settings": pipe.components.sampling.replace(guidance_channels=2)},
    ]
    for change in changes:
        assert not torch.allclose(latents_of(pipe, seed=1, **change), base, atol=1e-4), change


def test_any_size_that_divides(pipe: ImagePipeline) -> None:
    """Width and height are independent multiples of 16."""
    for width, height in ((16, 16), (160, 32), (16, 96)):
        assert pipe(PROMPT, width=width, height=height).images[0].size == (width, height)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"height": 100}, ShapeError, "multiple of 16, got 100; the nearest are 96 and 112"),
        ({"width": 8}, ShapeError, "the least is 16"),
        ({"width": 0}, ShapeError, "positive"),
        ({"width": -16}, ShapeError, "positive"),
        ({"width": 32.0}, ShapeError, "got 32.0"),
        ({"output_type": "jpeg"}, ConfigError, "output_type"),
        ({"width": 10**6, "height": 10**6}, OutOfMemoryError, "1000000x1000000"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: dict[str, Any], error: type[Exception], says: str, pipe: ImagePipeline
) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(error, match=says) as caught:
        pipe(PROMPT, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pil", "np", "pt"])
def test_what_is_no_number_is_no_picture(kind: str, pipe: ImagePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that overflowed, as some do in float16, is told in every form of output."""
    monkeypatch.setattr(type(pipe.components.codec), "decode", lambda *_: torch.full((1, 3, 32, 48), torch.nan))
    with pytest.raises(CodecError, match="not all finite"):
        pipe(PROMPT, output_type=kind)


def test_running_out_of_memory_says_the_size(
    pipe: ImagePipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the allocator raises in the middle becomes one line with the size that was asked for."""

    def burst(*_: object, **__: object) -> Callable[..., Any]:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(type(pipe.components.codec), "decode", burst)
    with pytest.raises(OutOfMemoryError, match="2 pictures of 48x32"):
        pipe(PROMPT, num_images_per_prompt=2)


def test_large_pictures_follow_smaller_ones(pipe: ImagePipeline) -> None:
    """With projected flow, one that is much larger than those of training is made twice; one that is not, once."""
    settings = pipe.components.sampling.replace(projected_flow=True)
    large = {"height": 64, "width": 96, "seed": 1}
    once, twice = (pipe(PROMPT, **large, settings=given) for given in (None, settings))
    assert twice.report.settings["projected_from"] == [4, 4]
    assert "projected_from" not in once.report.settings
    evaluations = [output.report.settings["function_evaluations"] for output in (once, twice)]
    assert evaluations == [3, 6]
    assert not torch.allclose(once.latents, twice.latents, atol=1e-2)
    first = latents_of(pipe, height=32, width=32, seed=1)[0]
    guide = pipe.enlarged(first, (4, 8, 12))

    def distance(latents: Tensor) -> float:
        means = torch.nn.functional.interpolate(latents - guide, size=(4, 4), mode="area")
        return float(means.square().mean())

    assert distance(twice.latents) < distance(once.latents) / 4
    near = {"height": 32, "width": 32, "seed": 1}
    assert torch.equal(latents_of(pipe, **near), latents_of(pipe, **near, settings=settings))


def test_a_given_start_or_part_is_followed_in_one_pass(pipe: ImagePipeline) -> None:
    """Projected flow draws twice only where nothing but the prompt and the seed decides."""
    settings = pipe.components.sampling.replace(projected_flow=True)
    start = torch.zeros(1, 4, 8, 12)
    picture, mask = Image.new("RGB", (96, 64)), Image.new("L", (96, 64), 255)
    for given in ({"latents": start}, {"image": picture, "mask_image": mask, "seed": 1}):
        report = pipe(PROMPT, height=64, width=96, settings=settings, **given).report
        assert "projected_from" not in report.settings
