"""The recipes' data: encoded pictures of the world, and folders of pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flagdit_core.errors import ConfigError, DataError, OutputError
from flagdit_core.recipes import EncodedWorld, encode_shards, stage_at, wanted_shards
from lumina_image import ImagePipeline
from lumina_image.modality import MODALITY
from lumina_image.recipes.folder import FolderRecipe, folder, read_picture
from lumina_image.recipes.pictures import PictureKind, encode_pictures, picture_stage
from lumina_image.world import verify

VAE = MODALITY.models["nano"] / "vae"
STAGES = (
    picture_stage(steps=2, pictures={1: 6}, sizes={(64, 96): 1.0}, shares={1: 1.0}),
    picture_stage(steps=3, pictures={1: 6, 2: 6}, sizes={(128, 128): 1.0}, shares={1: 0.5, 2: 0.5}),
)


def test_stages_follow_one_another() -> None:
    """A step belongs to the stage that its number falls into, and to the last one after the end."""
    assert [stage_at(STAGES, step) for step in (0, 1, 2, 4, 9)] == [STAGES[i] for i in (0, 0, 1, 1, 1)]


@torch.no_grad()
def test_encoded_world(tmp_path: Path) -> None:
    """Batches are pure functions of their step, of the stage's size, and show what their captions say."""
    shards = wanted_shards(STAGES, seed=3)
    kinds = [PictureKind(width=w, height=h, num_objects=n) for w, h, n in ((64, 96, 1), (128, 128, 1), (128, 128, 2))]
    assert [shard.kind for shard in shards] == kinds
    encode_shards(shards, encode_pictures, VAE, tmp_path, workers=1)
    world, again = (EncodedWorld(STAGES, tmp_path, seed=3) for _ in range(2))
    again.batch(4, batch_size=3, seed=0)
    for step, shape in ((1, (8, 8, 12, 8)), (3, (8, 8, 16, 16))):
        one, other = (source.batch(step, batch_size=8, seed=0) for source in (world, again))
        assert isinstance(one.latents, torch.Tensor)
        assert one.latents.shape == shape
        assert torch.equal(one.latents, other.latents)
        assert one.captions == other.captions
        assert world.batch(step, batch_size=8, seed=1).captions != one.captions
    codec = ImagePipeline.from_pretrained("nano").components.codec
    pixels = ((codec.decode(one.latents) + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    right = [verify(picture, caption).passed for picture, caption in zip(pixels, one.captions, strict=True)]
    assert sum(right) >= 6


def _picture(path: Path, width: int, height: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def test_pictures_keep_their_shape(tmp_path: Path) -> None:
    """A picture is read whole: scaled to the nearest sides the network reads, down to the area, never cropped."""
    _picture(tmp_path / "wide.png", 400, 200)
    assert read_picture(tmp_path / "wide.png", multiple=16, max_pixels=128 * 128).shape == (3, 96, 176)
    _picture(tmp_path / "fits.png", 48, 32)
    pixels = read_picture(tmp_path / "fits.png", multiple=16, max_pixels=128 * 128)
    with Image.open(tmp_path / "fits.png") as file:
        expected = np.asarray(file).transpose(2, 0, 1)
    assert np.array_equal(((pixels.numpy() + 1) * 127.5).round(), expected)
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png", multiple=16, max_pixels=256) == 1).all()


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    """What is no picture, or half of one, is named."""
    (tmp_path / "text.png").write_text("no picture")
    _picture(tmp_path / "half.png", 64, 64)
    data = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    for name in ("text.png", "half.png"):
        with pytest.raises(DataError, match=name):
            read_picture(tmp_path / name, multiple=16, max_pixels=256)


def test_folder_recipe(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder of three shapes, one file damaged and skipped, trains into a model folder that draws otherwise."""
    data = tmp_path / "data"
    data.mkdir()
    sizes = {"a.png": (64, 32), "b.png": (32, 64), "c.png": (48, 48)}
    for name, size in sizes.items():
        _picture(data / name, *size)
    (data / "d.png").write_text("no picture")
    texts = {"a.png": "a red circle", "b.png": "two stars", "c.png": "a red circle " * 100, "d.png": "nothing"}
    lines = [json.dumps({"file_name": name, "text": text}) for name, text in texts.items()]
    (data / "metadata.jsonl").write_text("\n".join(lines))
    config = FolderRecipe(data=data, output_dir=tmp_path / "run", on_error="skip")
    config = replace(
        config, training=replace(config.training, num_steps=2, batch_size=4, learning_rate=1e-2, warmup_steps=0)
    )
    model = folder(config)
    (cut,) = [record.getMessage() for record in caplog.records if "caption" in record.getMessage()]
    assert cut.startswith(f"{data / 'c.png'}: the last ") and cut.endswith(" are not read, past 96")
    drawn = [
        ImagePipeline.from_pretrained(name)("a red circle", height=32, width=32, seed=1, num_inference_steps=2).latents
        for name in ("nano", model)
    ]
    assert not torch.equal(*drawn)
    with pytest.raises(OutputError, match="already there"):
        folder(config, resume=True)
    with pytest.raises(DataError, match=r"d\.png"):
        folder(replace(config, output_dir=tmp_path / "strict", on_error="raise"))


def test_what_a_pipeline_would_not_sample_is_not_trained() -> None:
    """Pipelines follow velocities; a network that predicts noise would only look trained."""
    with pytest.raises(ConfigError, match="prediction must be 'velocity' in a recipe"):
        FolderRecipe(training=replace(FolderRecipe().training, prediction="noise"))
