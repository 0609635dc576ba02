"""Training data: the world's own views, encoded repeatably."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.picture_vae import PictureVAE, PictureVAEConfig
from lumina_3d import orbit
from lumina_3d.recipes.views_data import ViewsKind, encode_views, random_views, to_pixels, training_views
from lumina_3d.world import is_held_out, parse, scene_of, show
from lumina_3d.world.vocabulary import SIZES


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random picture VAE."""
    torch.manual_seed(0)
    vae = PictureVAE(
        PictureVAEConfig(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4, mid_block_add_attention=False
        )
    )
    folder = tmp_path_factory.mktemp("codec") / "vae"
    PictureCodec(vae, scale=0.5, shift=0.25).save_pretrained(folder)
    return folder


def test_shared_geometry_changes_nothing() -> None:
    """Views painted on geometry that another scene was rendered with are the scene's own views."""
    cameras = orbit(3)
    for color in ("red", "cyan"):
        scene = scene_of(f"a large {color} cone")
        assert np.array_equal(training_views(scene, cameras, 48).images, show(scene, cameras, 48).images)


def test_encoded_views(codec_folder: Path) -> None:
    """Latents are (count, C, views, h, w), the same for the same generator, of training scenes in several wordings."""
    kind = ViewsKind(category="one object", num_views=3, size=32)
    latents, captions = encode_views(kind, 10, np.random.default_rng(0), codec_folder)
    again, _ = encode_views(kind, 10, np.random.default_rng(0), codec_folder)
    assert latents.shape == (10, 4, 3, 4, 4)
    assert torch.equal(latents, again)
    assert [len(wordings) for wordings in captions] == [4] * 10
    claims = [{parse(wording) for wording in wordings} for wordings in captions]
    assert all(len(meanings) == 1 for meanings in claims)
    assert not any(is_held_out(meaning) for meanings in claims for meaning in meanings)


def test_latents_keep_the_order_of_views(codec_folder: Path) -> None:
    """Frame i of a latent is the encoding of view i."""
    kind = ViewsKind(category="side by side", num_views=4, size=32)
    latents, captions = encode_views(kind, 1, np.random.default_rng(1), codec_folder)
    first, second = parse(captions[0][0]).objects
    scenes = [
        scene_of(f"a {a} {first.color} {first.shape} beside a {b} {second.color} {second.shape}")
        for a in ([first.size] if first.size else SIZES)
        for b in ([second.size] if second.size else SIZES)
    ]
    codec = PictureCodec.from_pretrained(codec_folder)
    encoded = [codec.encode(to_pixels(show(scene, orbit(4), 32).images)).movedim(0, 1) for scene in scenes]
    assert min(float((candidate - latents[0]).abs().max()) for candidate in encoded) < 1e-4


def test_pictures_for_the_vae() -> None:
    """Single views in [-1, 1], the same for the same generator, with objects in them."""
    pictures, again = (random_views(np.random.default_rng(0), 4, 32) for _ in range(2))
    assert pictures.shape == (4, 3, 32, 32)
    assert torch.equal(pictures, again)
    assert pictures.min() >= -1
    assert pictures.max() <= 1
    assert (pictures.flatten(2).amin(-1) < 0.3).any(1).all()
