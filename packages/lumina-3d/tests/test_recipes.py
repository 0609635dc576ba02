"""The recipes: views of the world encoded repeatably, and runs that end in a codec and in a model."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flagdit_core.errors import ConfigError, OutputError
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pixels import to_pixels
from flagdit_core.recipes import Part, Stage, TextEncoderRecipe, WorldRecipe
from lumina_3d import ObjectPipeline, orbit
from lumina_3d.recipes.nano import NANO, caption
from lumina_3d.recipes.tiny import TINY, tiny
from lumina_3d.recipes.vae import VAE, vae
from lumina_3d.recipes.views import ViewsKind, encode_views, random_views, training_views
from lumina_3d.world import CATEGORIES, is_held_out, parse, scene_of, show
from lumina_3d.world.vocabulary import SIZES

KIND = ViewsKind(category="one object", num_views=3, elevations=(20.0,), size=32)


@pytest.fixture(scope="module")
def codec_folder(pipe: ObjectPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny VAE as a folder."""
    folder = tmp_path_factory.mktemp("codec") / "vae"
    pipe.components.codec.save_pretrained(folder)
    return folder


def _recipe(folder: Path, codec_folder: Path) -> WorldRecipe:
    """The tiny recipe in four steps, a checkpoint after the second and a sample after the third."""
    training = replace(
        TINY.training, num_steps=4, batch_size=2, warmup_steps=1, sample_every=3, checkpoint_every=2, log_every=1
    )
    return replace(
        TINY,
        output_dir=folder,
        codec=codec_folder,
        model=replace(TINY.model, in_channels=4),
        text_encoder=TextEncoderRecipe(num_layers=1, captions=50),
        stages=(Stage(steps=4, parts=(Part(kind=KIND, examples=2),)),),
        training=training,
        sampling=TINY.sampling.replace(num_inference_steps=1),
        sampled_prompts=1,
    )


def test_shared_geometry_changes_nothing() -> None:
    """Views painted on geometry that another scene was rendered with are the scene's own views."""
    cameras = orbit(3)
    for color in ("red", "cyan"):
        scene = scene_of(f"a large {color} cone")
        assert np.array_equal(training_views(scene, cameras, 48).images, show(scene, cameras, 48).images)


def test_encoded_views(codec_folder: Path) -> None:
    """Latents are (count, C, views, h, w), the same for the same generator, of training scenes in several wordings."""
    latents, captions = encode_views(KIND, 10, np.random.default_rng(0), codec_folder)
    again, _ = encode_views(KIND, 10, np.random.default_rng(0), codec_folder)
    assert latents.shape == (10, 4, 3, 4, 4)
    assert torch.equal(latents, again)
    assert [len(wordings) for wordings in captions] == [4] * 10
    claims = [{parse(wording) for wording in wordings} for wordings in captions]
    assert all(len(meanings) == 1 for meanings in claims)
    assert not any(is_held_out(meaning) for meanings in claims for meaning in meanings)


def test_latents_are_of_the_views_in_order(codec_folder: Path) -> None:
    """Frame i of a latent is the encoding of view i, from the elevations that the kind says."""
    kind = replace(KIND, category="side by side", num_views=4, elevations=(10.0, 50.0))
    latents, captions = encode_views(kind, 1, np.random.default_rng(1), codec_folder)
    first, second = parse(captions[0][0]).objects
    scenes = [
        scene_of(f"a {a} {first.color} {first.shape} beside a {b} {second.color} {second.shape}")
        for a in ([first.size] if first.size else SIZES)
        for b in ([second.size] if second.size else SIZES)
    ]
    codec, cameras = PictureCodec.from_pretrained(codec_folder), orbit(4, elevations=(10.0, 50.0))
    encoded = [codec.encode(to_pixels(show(scene, cameras, 32).images)).movedim(0, 1) for scene in scenes]
    assert min(float((candidate - latents[0]).abs().max()) for candidate in encoded) < 1e-4


def test_kinds_tell_what_a_pipeline_of_theirs_makes() -> None:
    """Defaults hold the cameras; kinds of one size and number share batches; other elevations are another kind."""
    assert KIND.defaults == {"num_views": 3, "elevations": [20.0], "width": 32, "height": 32}
    assert replace(KIND, category="side by side").shape == KIND.shape != replace(KIND, num_views=4).shape
    assert len({replace(KIND, elevations=heights).name for heights in ((20.0,), (0.0, 60.0), (60.0, 0.0))}) == 3


def test_views_for_the_vae() -> None:
    """The VAE learns from single views in [-1, 1] with objects in them, and is judged by others, held out."""
    views = random_views(np.random.default_rng(0), 4, 32)
    assert views.shape == (4, 3, 32, 32) and float(views.abs().max()) <= 1
    assert torch.equal(views, random_views(np.random.default_rng(0), 4, 32))
    assert not torch.equal(views, random_views(np.random.default_rng(0), 4, 32, held_out=True))
    assert (views.flatten(2).amin(-1) < 0.3).any(1).all()


def test_vae_in_three_steps(tmp_path: Path) -> None:
    """The recipe ends in a codec of factor 8; run again it gives the same, and other settings are refused."""
    config = replace(
        VAE, start_from=None, output_dir=tmp_path / "vae", run_dir=tmp_path, channels=(4, 4, 8, 8), latent_channels=3,
        batch_size=2, size=32, steps=3, checkpoint_every=3, log_every=1, validation_pictures=2,
    )  # fmt: skip
    views = random_views(np.random.default_rng(5), 2, 32)
    latents = vae(config).encode(views)
    assert latents.shape == (2, 3, 4, 4)
    assert torch.equal(vae(config).encode(views), latents)
    torch.testing.assert_close(
        PictureCodec.from_pretrained(tmp_path / "vae").encode(views), latents, rtol=0.1, atol=0.1
    )
    with pytest.raises(ConfigError, match="another recipe"):
        vae(replace(config, kl_weight=1.0))


def test_tiny_recipe(saved_blank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing to a model folder, with samples and verdicts; a run that was killed and resumed ends in the same."""
    whole, killed = (_recipe(tmp_path / name, saved_blank / "vae") for name in ("whole", "killed"))

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lumina_3d.command.generate", kill)
        tiny(killed)
    shutil.copytree(tmp_path / "killed" / "encoded", tmp_path / "whole" / "encoded")  # made once, for both
    folders = tiny(killed, resume=True), tiny(whole)
    resumed, never_killed = (ObjectPipeline.from_pretrained(folder)("a red cube", seed=1) for folder in folders)
    assert torch.equal(resumed.latents, never_killed.latents)
    assert resumed.latents.shape == (1, 4, 3, 4, 4)
    assert resumed.views[0].cameras == orbit(3, elevations=(20.0,))
    names = {path.name for path in (tmp_path / "whole" / "samples").iterdir()}
    assert names == {"step-000003.png", "step-000004.png", "verified.csv"}
    with pytest.raises(OutputError, match="already there"):
        tiny(whole, resume=True)


def test_captions_of_the_tokenizer() -> None:
    """They are of every category."""
    generator = np.random.default_rng(0)
    assert {parse(caption(generator)).category for _ in range(40)} == set(CATEGORIES)


def test_the_recipes_agree_with_themselves() -> None:
    """It is trained at the number of views, the size and the steps that it samples with and says; the tiny one too."""
    kinds = [part.kind for stage in NANO.stages for part in stage.parts]
    assert {kind.shape for kind in kinds} == {(12, 64)}
    assert NANO.sampling.training_shape == (12, 64 // 8, 64 // 8)
    for recipe in (NANO, TINY):
        assert sum(stage.steps for stage in recipe.stages) == recipe.training.num_steps
