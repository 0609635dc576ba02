"""The mel VAE's recipe: repeatable, resumable, and what it writes."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.recipes.autoencoder_run import MetricsLog
from lumina_audio.mel_codec import MelCodec
from lumina_audio.mel_vae import MelVAEConfig
from lumina_audio.recipes.mel_vae import MelVAERecipe, mel_vae
from lumina_audio.world import render, sample_scene


def _recipe(folder: Path) -> MelVAERecipe:
    return MelVAERecipe(
        output_dir=folder / "vae",
        run_dir=folder,
        vae=MelVAEConfig(latent_channels=4, hidden_size=16, depth=1),
        steps=3,
        decoder_steps=2,
        frames_per_step=160,
        latents=(20, 24),
        checkpoint_every=2,
        log_every=1,
        validation_sounds=2,
        verified_sounds=0,
    )


def test_interrupted_run_ends_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed after a checkpoint and started again gives the weights and the log of one that was never killed."""
    whole = mel_vae(_recipe(tmp_path / "whole"))

    def killed(self: MetricsLog, row: dict[str, float]) -> None:
        if row["step"] == 3:
            raise KeyboardInterrupt
        write(self, row)

    write = MetricsLog.write
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MetricsLog, "write", killed)
        mel_vae(_recipe(tmp_path / "killed"))
    resumed = mel_vae(_recipe(tmp_path / "killed"))
    for expected, actual in zip(whole.vae.parameters(), resumed.vae.parameters(), strict=True):
        assert torch.equal(expected, actual)
    rows, expected_rows = (
        list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("killed", "whole")
    )
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected_rows]
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]


def test_last_steps_leave_latents_alone(tmp_path: Path) -> None:
    """The decoder's own steps change the decoder and nothing that decides the latents."""
    short = mel_vae(replace(_recipe(tmp_path / "short"), decoder_steps=0)).vae.state_dict()
    long = mel_vae(_recipe(tmp_path / "long")).vae.state_dict()
    changed = {name.split(".")[0] for name in short if not torch.equal(short[name], long[name])}
    assert changed == {"decoder", "to_patches"}


def test_run_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    """A checkpoint made with other settings is refused rather than mixed in."""
    mel_vae(_recipe(tmp_path))
    with pytest.raises(ConfigError, match="belongs to another recipe"):
        mel_vae(replace(_recipe(tmp_path), kl_weight=1.0))


def test_output_is_a_codec_with_unit_latents(tmp_path: Path) -> None:
    """The folder loads as a codec in whose units the world's latents have mean 0 and variance 1."""
    mel_vae(_recipe(tmp_path))
    generator = np.random.default_rng(5)
    samples = np.stack([render(sample_scene(generator, seconds=2.048)).samples for _ in range(16)])
    latents = MelCodec.from_pretrained(tmp_path / "vae").encode(torch.from_numpy(samples))
    assert latents.shape == (16, 4, 32)
    assert abs(float(latents.mean())) < 0.3
    assert 0.7 < float(latents.std()) < 1.4


def test_training_lowers_the_error(tmp_path: Path) -> None:
    """Thirty steps at a tiny width are nearer to held-out sounds than three are, by a fifth."""
    errors = []
    for steps in (3, 30):
        folder = tmp_path / str(steps)
        mel_vae(
            replace(_recipe(folder), steps=steps, decoder_steps=0, warmup_steps=2, ema_decay=0.8, learning_rate=1e-2)
        )
        errors.append(float(list(csv.DictReader((folder / "metrics.csv").open()))[-1]["error"]))
    assert errors[1] < 0.8 * errors[0]


def test_the_verifier_judges_reconstructions(tmp_path: Path) -> None:
    """With sounds to verify, the log tells how many reconstructions pass; a VAE that learned nothing passes none."""
    mel_vae(replace(_recipe(tmp_path), steps=1, decoder_steps=0, verified_sounds=2))
    assert float(list(csv.DictReader((tmp_path / "metrics.csv").open()))[-1]["passed"]) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "1 or more"),
        ({"decoder_steps": -1}, "no negative number"),
        ({"frames_per_step": 100}, "208 or more"),
    ],
)
def test_impossible_settings(settings: dict[str, int], message: str) -> None:
    """Settings that would fail late are refused when the recipe is made."""
    with pytest.raises(ConfigError, match=message):
        MelVAERecipe(**settings)
