"""Training on a folder of views."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flagdit_core.errors import CodecError, DataError
from lumina_3d import ObjectPipeline, orbit, save_views
from lumina_3d.cameras import ELEVATIONS
from lumina_3d.recipes.folder import FolderRecipe, folder, read_pixels
from lumina_3d.world import scene_of, show

READ = {"multiple": 16, "max_pixels": 64 * 64, "elevations": ELEVATIONS}


def test_views_in_order_and_size(tmp_path: Path) -> None:
    """Views that fit are the pixels of their pictures, in their order; larger ones are scaled, at any distance."""
    views = show(scene_of("a red cube"), orbit(4), 48)
    save_views(views, tmp_path / "a", {})
    pixels = read_pixels(tmp_path / "a" / "transforms.json", **READ)
    assert np.array_equal(((pixels.permute(0, 2, 3, 1).numpy() + 1) * 127.5).round(), views.images)
    save_views(show(scene_of("a red cube"), orbit(3, distance=30.0), 160), tmp_path / "b", {})
    assert read_pixels(tmp_path / "b" / "transforms.json", **READ).shape == (3, 3, 64, 64)


def test_cameras_must_stand_where_the_model_takes_them_to_be(tmp_path: Path) -> None:
    """Another order, height or start is named with the view and what was expected; so is a damaged picture."""
    scene = scene_of("a red cube")
    for name, cameras in {
        "turned": orbit(4)[1:] + orbit(4)[:1],
        "level": orbit(4, elevations=(0.0,)),
    }.items():
        save_views(show(scene, cameras, 32), tmp_path / name, {})
        with pytest.raises(DataError, match=rf"{name}.*expected view [01] from azimuth (0|90) .*orbit\(4\)"):
            read_pixels(tmp_path / name / "transforms.json", **READ)
    with pytest.raises(DataError, match=r"transforms_train\.json: expected the transforms\.json"):
        read_pixels(tmp_path / "level" / "transforms_train.json", **READ)
    (tmp_path / "level" / "002.png").write_bytes(b"no picture")
    with pytest.raises(CodecError, match=r"002\.png"):
        read_pixels(tmp_path / "level" / "transforms.json", **READ)


def test_folder_recipe(saved: Path, tmp_path: Path) -> None:
    """Objects of three and four views, one damaged and skipped, train into a model folder that makes other views."""
    data = tmp_path / "data"
    data.mkdir()
    names = ["a", "b", "c"]
    for name, num_views in zip(names, (3, 4, 4), strict=True):
        save_views(show(scene_of("a blue cone"), orbit(num_views), 32), data / name, {})
    Image.new("RGB", (8, 8)).save(data / "c" / "001.png")
    lines = [json.dumps({"file_name": f"{name}/transforms.json", "text": "a blue cone"}) for name in names]
    (data / "metadata.jsonl").write_text("\n".join(lines))
    config = FolderRecipe(data=data, output_dir=tmp_path / "run", model=str(saved), on_error="skip")
    config = replace(
        config, training=replace(config.training, num_steps=2, batch_size=3, learning_rate=1e-2, warmup_steps=0)
    )
    made = [ObjectPipeline.from_pretrained(name)("a cone", seed=1).latents for name in (saved, folder(config))]
    assert not torch.equal(*made)
    with pytest.raises(DataError, match="one size"):
        folder(replace(config, output_dir=tmp_path / "strict", on_error="raise"))
