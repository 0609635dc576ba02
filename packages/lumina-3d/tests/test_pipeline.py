"""ObjectPipeline: what a call returns, what decides an object, and what bad arguments get."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from flagdit_core.errors import (
    CancelledError,
    CheckpointError,
    ConfigError,
    OutOfMemoryError,
    ShapeError,
    StrictError,
)
from flagdit_core.noise import latent_noise
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


def test_a_picture_of_the_front_is_kept(pipe: ObjectPipeline) -> None:
    """It is the first view exactly, whatever its size was, and the other views are made to it."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    given = latents_of(pipe, image=picture, seed=1)
    expected = pipe.components.codec.encode(to_pixels(np.asarray(picture))[None])[0]
    torch.testing.assert_close(given[0, :, 0], expected)
    free = latents_of(pipe, seed=1)
    assert not torch.allclose(given[:, :, 1:], free[:, :, 1:], rtol=0, atol=1e-5)
    wide = Image.new("RGB", (64, 16), "white")
    wide.paste((200, 0, 0), (32, 0, 48, 16))
    expected = np.full((32, 32, 3), 255, dtype=np.uint8)
    expected[12:20, 16:24] = (200, 0, 0)
    seen = pipe(PROMPT, image=wide, seed=1).latents[0, :, 0]
    difference = seen - pipe.components.codec.encode(to_pixels(expected)[None])[0]
    assert difference.abs().mean() < 0.15 * seen.abs().mean()


def test_latents_in_and_out(pipe: ObjectPipeline) -> None:
    """The seed's own noise as latents gives the seed's views; the report says that latents were given."""
    noise = torch.stack([latent_noise((4, 4, 4, 4), seed=9, index=index) for index in (0, 1)])
    output = pipe(PROMPT, latents=noise, num_objects_per_prompt=2)
    torch.testing.assert_close(output.latents, latents_of(pipe, seed=9, num_objects_per_prompt=2))
    assert output.report.settings["from_latents"] is True


def test_callback_sees_every_step_and_cancels(pipe: ObjectPipeline) -> None:
    """It gets (pipeline, step, time, latents) as in diffusers; CancelledError from it ends the call."""
    seen: list[tuple[ObjectPipeline, int, float, torch.Size]] = []

    def look(pipeline: ObjectPipeline, step: int, t: float, state: dict[str, Any]) -> None:
        seen.append((pipeline, step, t, state["latents"].shape))
        if step == 1:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        pipe([PROMPT, PROMPT], num_inference_steps=4, callback_on_step_end=look)
    assert seen == [(pipe, 0, 0.25, torch.Size((2, 4, 4, 4, 4))), (pipe, 1, 0.5, torch.Size((2, 4, 4, 4, 4)))]


def test_report_and_strict(pipe: ObjectPipeline) -> None:
    """A prompt too long is told, and an error under strict."""
    long_prompt = "a red cube and " * 20
    assert "dropped" in pipe(long_prompt).report.deviations[0]
    with pytest.raises(StrictError, match="dropped"):
        pipe(long_prompt, strict=True)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"prompt": ""}, ConfigError, "expected a prompt"),
        ({"prompt": []}, ConfigError, "at least one prompt"),
        ({"height": 100}, ShapeError, "multiple of 16, got 100; the nearest are 96 and 112"),
        ({"width": 0}, ShapeError, "positive"),
        ({"num_views": 0}, ConfigError, "num_views must be a whole number of at least 1, got 0"),
        ({"num_views": -3}, ConfigError, "num_views"),
        ({"num_views": 2.5}, ConfigError, "got 2.5"),
        ({"num_views": 1, "image": Image.new("RGB", (8, 8))}, ConfigError, "leaves none to make"),
        ({"num_inference_steps": 0}, ConfigError, "num_inference_steps"),
        ({"guidance_scale": float("nan")}, ConfigError, "guidance_scale"),
        ({"solver": "magic"}, ConfigError, "the solvers are euler"),
        ({"num_objects_per_prompt": 0}, ConfigError, "num_objects_per_prompt"),
        ({"first_object_index": -1}, ConfigError, "first_object_index"),
        ({"seed": [1, 2]}, ConfigError, "one seed"),
        ({"negative_prompt": "a", "guidance_scale": 1.0}, ConfigError, "does nothing"),
        ({"latents": torch.zeros(1, 4, 5, 4, 4)}, ShapeError, r"\(1, 4, 4, 4, 4\)"),
        ({"latents": torch.zeros(1, 4, 4, 4, 4), "seed": 1}, ConfigError, "one of them"),
        ({"width": 10**6, "height": 10**6}, OutOfMemoryError, "1000000x1000000"),
        ({"num_views": 10**12}, OutOfMemoryError, "1 object of 1000000000000 views of 32x32"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: dict[str, Any], error: type[Exception], says: str, pipe: ObjectPipeline
) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    with pytest.raises(error, match=says) as caught:
        pipe(**{"prompt": PROMPT, **arguments})
    assert "\n" not in str(caught.value)


def test_unknown_arguments_raise(pipe: ObjectPipeline) -> None:
    """A misspelt argument is never ignored."""
    with pytest.raises(TypeError, match="views"):
        pipe(PROMPT, views=3)  # type: ignore[call-arg]


def test_save_and_load_give_the_identical_views(pipe: ObjectPipeline, tmp_path: Path) -> None:
    """A saved pipeline, loaded by the ordinary code, makes the same views bit for bit, with the same defaults."""
    pipe.save_pretrained(tmp_path / "model")
    loaded = ObjectPipeline.from_pretrained(tmp_path / "model")
    assert loaded.components.sampling == pipe.components.sampling
    one, other = (each(PROMPT, seed=3) for each in (loaded, pipe))
    assert torch.equal(one.latents, other.latents)
    assert np.array_equal(one.views[0].images, other.views[0].images)


def test_to_moves_all_parts(saved: Path) -> None:
    """Weights change their precision in every part, and views still start from the same noise."""
    loaded = ObjectPipeline.from_pretrained(saved, dtype=torch.bfloat16)
    parts = (loaded.components.model, loaded.components.text_encoder, loaded.components.codec.vae)
    assert {parameter.dtype for part in parts for parameter in part.parameters()} == {torch.bfloat16}
    half = loaded(PROMPT, seed=2)
    assert half.latents.dtype == torch.float32 and half.views[0].images.dtype == np.uint8
    whole = latents_of(loaded.to(dtype=torch.float32), seed=2)
    assert {parameter.dtype for part in parts for parameter in part.parameters()} == {torch.float32}
    assert 0 < (whole - half.latents).abs().mean() < 0.1 * whole.abs().mean()


def test_a_folder_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    """The class in model_index.json decides."""
    (tmp_path / "model_index.json").write_text('{"_class_name": "ImagePipeline"}')
    with pytest.raises(CheckpointError, match="holds the pipeline ImagePipeline, expected ObjectPipeline"):
        ObjectPipeline.from_pretrained(tmp_path)
