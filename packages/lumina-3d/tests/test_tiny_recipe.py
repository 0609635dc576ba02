"""The nano recipe in a minute."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.recipes import Part, Stage, TextEncoderRecipe
from lumina_3d import ObjectPipeline
from lumina_3d.recipes.tiny import TINY, tiny
from lumina_3d.recipes.views import ViewsKind


def test_tiny_recipe(codec: PictureCodec, tmp_path: Path) -> None:
    """From nothing to a model folder that makes the recipe's number of views, with samples and verdicts."""
    codec.save_pretrained(tmp_path / "vae")
    kind = ViewsKind(category="one object", num_views=3, size=32)
    config = replace(
        TINY,
        output_dir=tmp_path / "run",
        codec=tmp_path / "vae",
        model=replace(TINY.model, in_channels=codec.latent_channels),
        text_encoder=TextEncoderRecipe(num_layers=1, captions=50),
        stages=(Stage(steps=2, parts=(Part(kind=kind, examples=2),)),),
        training=replace(TINY.training, num_steps=2, batch_size=2, warmup_steps=1, sample_every=2, checkpoint_every=2),
        sampling=TINY.sampling.replace(num_inference_steps=1),
        sampled_prompts=1,
    )
    output = ObjectPipeline.from_pretrained(tiny(config))("a red cube", seed=1)
    assert output.views[0].images.shape == (3, 32, 32, 3)
    names = {path.name for path in (tmp_path / "run" / "samples").iterdir()}
    assert names == {"step-000002.png", "verified.csv"}
    assert sum(stage.steps for stage in TINY.stages) == TINY.training.num_steps
