"""ObjectPipeline: what a call returns, what decides an object, and what bad arguments get."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from flagdit_core.errors import ConfigError, OutOfMemoryError, ShapeError
from flagdit_core.pipeline import Components
from flagdit_core.pixels import to_pixels
from lumina_3d import EmptyForegroundError, ObjectPipeline, orbit

PROMPT = "a medium blue cone on a large red cube"


def latents_of(pipe: ObjectPipeline, prompt: Any = PROMPT, **arguments: Any) -> Tensor:
    """The latents of a call."""
    return pipe(prompt, **arguments).latents


def test_default_call_gives_views_of_the_models_own_kind(pipe: ObjectPipeline) -> None:
    """One prompt gives one object's views of the default size and number, and the report holds the drawn seed."""
    output = pipe(PROMPT)
    (views,) = output.views
    assert (views.images.shape, views.images.dtype) == ((4, 32, 32, 3), np.uint8)
    assert output.latents.shape == (1, 4, 4, 4, 4)
    settings = output.report.settings
    assert (settings["num_views"], settings["height"], settings["width"]) == (4, 32, 32)
    again = pipe(PROMPT, seed=settings["seeds"][0])
    assert np.array_equal(again.views[0].images, views.images)


def test_views_are_the_decoded_latents(pipe: ObjectPipeline) -> None:
    """View i shows what the codec decodes from frame i, in 8 bits."""
    output = pipe([PROMPT, "a green ball"], seed=1)
    for views, latent in zip(output.views, output.latents, strict=True):
        pixels = pipe.components.codec.decode(latent.unbind(1)[2][None])[0]
        expected = (((pixels + 1) / 2).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(views.images[2], expected)


def test_any_number_of_views_with_its_cameras(pipe: ObjectPipeline) -> None:
    """As many views as asked for, from all around at equal azimuths, from the model's elevations in turn."""
    for count in (1, 3, 7):
        views = pipe(PROMPT, num_views=count, num_inference_steps=1).views[0]
        assert views.images.shape == (count, 32, 32, 3)
        assert views.cameras == orbit(count)


def test_the_model_says_from_which_elevations(pipe: ObjectPipeline) -> None:
    """Elevations in the model's defaults are those of its views, and are told."""
    parts = pipe.components
    defaults = {**parts.defaults, "elevations": [10.0, 20.0, 30.0]}
    other = ObjectPipeline(Components(text_encoder=parts.text_encoder, model=parts.model, codec=parts.codec,
                                      sampling=parts.sampling, defaults=defaults))  # fmt: skip
    output = other(PROMPT, num_inference_steps=1)
    assert [round(camera.elevation) for camera in output.views[0].cameras] == [10, 20, 30, 10]
    assert output.report.settings["elevations"] == [10.0, 20.0, 30.0]
    assert pipe(PROMPT, num_inference_steps=1).report.settings["elevations"] == [0.0, 60.0]


def test_objects_are_made_of_the_views(pipe: ObjectPipeline) -> None:
    """Each object is watertight, as fine as asked for, and keeps the pictures that it was made of."""
    output = pipe(PROMPT, num_objects_per_prompt=2, seed=1)
    coarse, fine = output.objects(mesh_resolution=16), output.objects(mesh_resolution=24)
    for item, finer, views in zip(coarse, fine, output.views, strict=True):
        assert item.mesh.is_watertight
        assert len(finer.mesh.faces) > 1.5 * len(item.mesh.faces)
        assert np.array_equal(item.views.images, views.images)
    assert not np.array_equal(output.views[0].images, output.views[1].images)


def test_too_few_views_make_no_object_but_are_views(pipe: ObjectPipeline) -> None:
    """Two views can be looked at; asking for the object says how many it needs."""
    output = pipe(PROMPT, num_views=2, num_inference_steps=1)
    assert len(output.views[0].images) == 2
    with pytest.raises(ConfigError, match="3 views or more to make a mesh of, got 2"):
        output.objects()


def test_empty_views_are_kept(saved_blank: Path) -> None:
    """Where the views show nothing, the error carries them."""
    output = ObjectPipeline.from_pretrained(saved_blank)(PROMPT, seed=1)
    with pytest.raises(EmptyForegroundError, match="nothing before the background") as caught:
        output.objects()
    assert caught.value.views is output.views[0]


def test_an_object_depends_on_prompt_seed_and_number_alone(pipe: ObjectPipeline) -> None:
    """Batches, their order, other prompts and other objects change nothing; object 2 of 3 is reproducible alone."""
    three = latents_of(pipe, [PROMPT, "a green ball"], num_objects_per_prompt=3, seed=[5, 6])
    assert three.shape == (6, 4, 4, 4, 4)
    torch.testing.assert_close(latents_of(pipe, first_object_index=1, seed=5)[0], three[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(latents_of(pipe, "a green ball", seed=6)[0], three[3], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(three[0], three[1], atol=1e-2)


def test_arguments_reach_the_sampler(pipe: ObjectPipeline) -> None:
    """Each argument that is given changes the views."""
    base = latents_of(pipe, seed=1)
    changes: list[dict[str, Any]] = [
        {"prompt": "a green ball"},
        {"seed": 2},
        {"negative_prompt": "a green ball"},
        {"num_inference_steps": 5},
        {"guidance_scale": 6.0},
        {"solver": "heun"},
        {"time_shift": 3.0},
        {"settings": pipe.components.sampling.replace(guidance_channels=2)},
    ]
    for change in changes:
        assert not torch.allclose(latents_of(pipe, **{"seed": 1, **change}), base, atol=1e-4), change


def test_any_size(pipe: ObjectPipeline) -> None:
    """Width and height are independent multiples of 16."""
    views = pipe(PROMPT, width=64, height=16, num_inference_steps=1).views[0]
    assert views.images.shape == (4, 16, 64, 3)


def test_large_views_follow_smaller_ones(pipe: ObjectPipeline) -> None:
    """With projected flow each view is enlarged, and their number stays."""
    settings = pipe.components.sampling.replace(projected_flow=True)
    once, twice = (pipe(PROMPT, height=64, width=48, seed=1, settings=given) for given in (None, settings))
    assert twice.report.settings["projected_from"] == [twice.latents.shape[2], 4, 4]
    assert twice.latents.shape == once.latents.shape
    assert not torch.allclose(once.latents, twice.latents, atol=1e-2)


def test_a_picture_of_the_front_is_kept(pipe: ObjectPipeline) -> None:
    """It is the first view exactly, whatever its size was, and the other views are made to it."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    given = latents_of(pipe, image=picture, seed=1)
    expected = pipe.components.codec.encode(to_pixels(np.asarray(picture))[None])[0]
    torch.testing.assert_close(given[0, :, 0], expected)
    free = latents_of(pipe, seed=1)
    assert not torch.allclose(given[:, :, 1:], free[:, :, 1:], rtol=0, atol=1e-5)
    clear, white = Image.new("RGBA", (32, 32), (255, 0, 0, 0)), Image.new("RGB", (32, 32), "white")
    assert torch.equal(latents_of(pipe, image=clear, seed=1), latents_of(pipe, image=white, seed=1))
    wide = Image.new("RGB", (64, 16), "white")
    wide.paste((200, 0, 0), (32, 0, 48, 16))
    expected = np.full((32, 32, 3), 255, dtype=np.uint8)
    expected[12:20, 16:24] = (200, 0, 0)
    seen = pipe(PROMPT, image=wide, seed=1).latents[0, :, 0]
    difference = seen - pipe.components.codec.encode(to_pixels(expected)[None])[0]
    assert difference.abs().mean() < 0.15 * seen.abs().mean()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"height": 100}, ShapeError, "multiple of 16, got 100; the nearest are 96 and 112"),
        ({"width": 0}, ShapeError, "positive"),
        ({"num_views": 0}, ConfigError, "num_views must be a whole number of at least 1, got 0"),
        ({"num_views": -3}, ConfigError, "num_views"),
        ({"num_views": 2.5}, ConfigError, "got 2.5"),
        ({"num_views": 1, "image": Image.new("RGB", (8, 8))}, ConfigError, "leaves none to make"),
        ({"width": 10**6, "height": 10**6}, OutOfMemoryError, "1000000x1000000"),
        ({"num_views": 10**12}, OutOfMemoryError, "1 object of 1000000000000 views of 32x32"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: dict[str, Any], error: type[Exception], says: str, pipe: ObjectPipeline
) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(error, match=says) as caught:
        pipe(PROMPT, **arguments)
    assert "\n" not in str(caught.value)
