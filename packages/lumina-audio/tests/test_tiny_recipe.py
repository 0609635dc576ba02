"""The nano recipe in a minute."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import TextEncoderRecipe
from lumina_audio import AudioPipeline
from lumina_audio.mel_codec import MelCodec
from lumina_audio.recipes.sounds import sound_stage
from lumina_audio.recipes.tiny import TINY, tiny


def test_tiny_recipe(mel_codec: MelCodec, tmp_path: Path) -> None:
    """From nothing to a model folder that makes sounds of the recipe's length, with samples and verdicts."""
    mel_codec.save_pretrained(tmp_path / "vae")
    config = replace(
        TINY,
        output_dir=tmp_path / "run",
        codec=tmp_path / "vae",
        model=replace(TINY.model, in_channels=mel_codec.latent_channels),
        text_encoder=TextEncoderRecipe(num_layers=1, captions=50),
        stages=(sound_stage(steps=2, sounds=2, seconds=1.6, categories={"one sound": 1.0}),),
        training=replace(TINY.training, num_steps=2, batch_size=2, warmup_steps=1, sample_every=2, checkpoint_every=2),
        sampling=TINY.sampling.replace(num_inference_steps=1),
        sampled_prompts=1,
    )
    output = AudioPipeline.from_pretrained(tiny(config))("a low bell", seed=1)
    assert output.audios[0].seconds == 1.6
    names = {path.name for path in (tmp_path / "run" / "samples").iterdir()}
    assert names == {"step-000002.png", "verified.csv"}
    assert sum(stage.steps for stage in TINY.stages) == TINY.training.num_steps
