"""The VAE's recipe: repeatable, resumable, and what it writes."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.recipes.autoencoder_run import MetricsLog
from flagdit_core.recipes.muon import orthogonalise
from flagdit_core.recipes.picture_vae import PictureVAERecipe
from lumina_image.recipes.vae import VAERecipe, vae
from lumina_image.recipes.vae_data import edge_crops, whole_pictures


def _recipe(folder: Path, **changes: object) -> VAERecipe:
    settings: dict[str, object] = {
        "output_dir": folder / "vae",
        "run_dir": folder,
        "channels": (4, 4, 8, 8),
        "latent_channels": 3,
        "steps": 4,
        "checkpoint_every": 2,
        "log_every": 1,
        "validation_pictures": 2,
        "batch_size": 2,
        "size": 32,
        "crop_size": 16,
        "picture_sizes": (32,),
    }
    return VAERecipe(**settings | changes)


def test_interrupted_run_ends_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed after a checkpoint and started again gives the weights and the log of one that was never killed."""
    whole = vae(_recipe(tmp_path / "whole"))

    def killed(self: MetricsLog, row: dict[str, float]) -> None:
        if row["step"] == 3:
            raise KeyboardInterrupt
        write(self, row)

    write = MetricsLog.write
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MetricsLog, "write", killed)
        vae(_recipe(tmp_path / "killed"))
    resumed = vae(_recipe(tmp_path / "killed"))
    for expected, actual in zip(whole.vae.parameters(), resumed.vae.parameters(), strict=True):
        assert torch.equal(expected, actual)
    rows, expected_rows = (
        list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("killed", "whole")
    )
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected_rows]
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]


def test_a_row_broken_off_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table goes on after its whole rows, and one that cannot be written anew is still there."""
    before = "step,loss\n1,0.5\n2,\n"
    (tmp_path / "metrics.csv").write_text(before + "3")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(csv.DictWriter, "writerows", _killed)
        MetricsLog(tmp_path, ("step", "loss"), start=3)
    assert (tmp_path / "metrics.csv").read_text() == before + "3"
    MetricsLog(tmp_path, ("step", "loss"), start=3).write({"step": 3, "loss": 0.25})
    assert (tmp_path / "metrics.csv").read_text() == before + "3,0.25\n"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("latent_noise", [0.0, 0.2])
def test_a_decoder_alone_keeps_the_latents(tmp_path: Path, latent_noise: float) -> None:
    """What the encoder makes of pictures stays as it was, in the folder too; the decoder learns."""
    vae(_recipe(tmp_path / "first"))
    first = str(tmp_path / "first" / "vae")
    before = PictureCodec.from_pretrained(first)
    vae(_recipe(tmp_path / "second", start_from=first, decoder_only=True, latent_noise=latent_noise))
    after = PictureCodec.from_pretrained(tmp_path / "second" / "vae")
    pixels = whole_pictures(np.random.default_rng(0), 2, 32)
    assert torch.equal(before.encode(pixels), after.encode(pixels))
    assert (before.scale, before.shift) == (after.scale, after.shift)
    assert not torch.equal(before.decode(before.encode(pixels)), after.decode(before.encode(pixels)))


def test_noise_in_latents_is_felt(tmp_path: Path) -> None:
    """The noise that is asked for changes what a decoder learns."""
    vae(_recipe(tmp_path / "first"))
    start = {"start_from": str(tmp_path / "first" / "vae"), "decoder_only": True}
    plain, noisy = (
        vae(_recipe(tmp_path / name, **start, latent_noise=noise)) for name, noise in (("plain", 0.0), ("noisy", 0.5))
    )
    latent = torch.zeros(1, 3, 4, 4)
    assert not torch.equal(plain.decode(latent), noisy.decode(latent))


def test_a_decoder_alone_needs_an_encoder(tmp_path: Path) -> None:
    """Without a VAE to begin with there are no latents to keep, nor a variance that noise could be measured by."""
    with pytest.raises(ConfigError, match="expected start_from"):
        _recipe(tmp_path, decoder_only=True)
    with pytest.raises(ConfigError, match="above 0 with decoder_only"):
        _recipe(tmp_path, latent_noise=0.1)
    with pytest.raises(ConfigError, match="above 0 with decoder_only"):
        _recipe(tmp_path, start_from=str(tmp_path), decoder_only=True, latent_noise=-0.1)


def test_run_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    """A checkpoint made with other settings is refused rather than mixed in."""
    vae(_recipe(tmp_path))
    with pytest.raises(ConfigError, match="belongs to another recipe"):
        vae(_recipe(tmp_path, kl_weight=1.0))
    with pytest.raises(ConfigError, match="belongs to another recipe"):
        vae(replace(_recipe(tmp_path), whole_every=2))


@pytest.mark.parametrize("wrong", [{"validation_pictures": 0}, {"norm_num_groups": 0}, {"size": 0}, {"batch_size": 0}])
def test_what_cannot_be_trained_is_one_line(tmp_path: Path, wrong: dict[str, int]) -> None:
    """Numbers that leave nothing to learn from or to judge by are refused before any work."""
    with pytest.raises(ConfigError, match="expected"):
        _recipe(tmp_path, **wrong)


def test_output_is_a_codec_with_unit_latents(tmp_path: Path) -> None:
    """The folder loads as a codec in whose units the world's latents have mean 0 and variance 1."""
    vae(_recipe(tmp_path))
    latents = PictureCodec.from_pretrained(tmp_path / "vae").encode(whole_pictures(np.random.default_rng(5), 8, 32))
    assert latents.shape == (8, 3, 4, 4)
    assert abs(float(latents.mean())) < 0.3
    assert 0.7 < float(latents.std()) < 1.4
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "reconstructions_000002.png",
        "reconstructions_000004.png",
    ]


def test_training_raises_the_quality(tmp_path: Path) -> None:
    """Forty steps at a tiny width reconstruct the same held-out pictures at least 1 dB better than four steps do."""
    config = _recipe(
        tmp_path, channels=(8, 8, 16, 16), steps=40, checkpoint_every=4, warmup_steps=1, learning_rate=5e-3,
        muon_learning_rate=1e-2, validation_pictures=8, batch_size=8,
    )  # fmt: skip
    vae(config)
    with (tmp_path / "metrics.csv").open() as file:
        quality = [float(row["psnr"]) for row in csv.DictReader(file) if row["psnr"]]
    assert quality[-1] > quality[0] + 1


def test_crops_show_edges() -> None:
    """Every crop holds at least two colours, is cut at the asked size, and is the same for the same seed."""
    crops, again = (edge_crops(np.random.default_rng(2), 12, 16, (64, 96)) for _ in range(2))
    assert crops.shape == (12, 3, 16, 16)
    assert torch.equal(crops, again)
    assert (crops.flatten(2).amax(-1) - crops.flatten(2).amin(-1)).amax(1).min() > 0.05


@pytest.mark.parametrize("shape", [(8, 72), (64, 16)])
def test_muon_directions_are_orthogonal(shape: tuple[int, int]) -> None:
    """All singular values of a direction are near 1, whatever those of the gradient, and its singular spaces stay."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert float((orthogonalise(matrix) * (u @ v)).sum()) / min(shape) > 0.8


def test_start_from_another(tmp_path: Path) -> None:
    """A run that begins with another VAE and hardly moves gives that VAE."""
    vae(_recipe(tmp_path / "first", warmup_steps=0))
    still = {"start_from": str(tmp_path / "first" / "vae"), "learning_rate": 1e-12, "muon_learning_rate": 1e-12}
    made = vae(_recipe(tmp_path / "second", **still))
    first = PictureCodec.from_pretrained(tmp_path / "first" / "vae")
    for expected, actual in zip(first.vae.parameters(), made.vae.parameters(), strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (PictureVAERecipe, {"channels": (16, 32, 64)}, "four channels"),
        (PictureVAERecipe, {"steps": 0}, "1 or more"),
        (PictureVAERecipe, {"num_threads": 0}, "1 or more"),
        (PictureVAERecipe, {"size": 60}, "multiple of 8"),
        (PictureVAERecipe, {"batch_size": 0}, "1 or more"),
        (VAERecipe, {"crop_size": 60}, "multiple of 8"),
        (VAERecipe, {"picture_sizes": (32, 96)}, "no picture smaller than a crop"),
        (VAERecipe, {"whole_every": 0}, "1 or more"),
    ],
)
def test_impossible_settings(recipe: type, settings: dict[str, object], message: str) -> None:
    """Settings that would fail late are refused when the recipe is made."""
    with pytest.raises(ConfigError, match=message):
        recipe(**settings)
