"""A small picture VAE, diffusers' AutoencoderKL with factor 8, trained on pictures of a world.

The loss is L1 + MSE + L1 of the picture's differences (sharp edges) + a small KL term; there is no perceptual and no
adversarial part, so it needs no other network. Afterwards the latents are normalised to mean 0 and variance 1 by one
shift and one scale, kept in the VAE's own configuration: latent = (z - shift_factor) * scaling_factor.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import einops
import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from PIL import Image
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.model.checkpoint import load_into, read_state_dict
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pixels import to_pictures
from flagdit_core.recipes.autoencoder import (
    Autoencoder,
    AutoencoderRecipe,
    kl_divergence,
    random_stream,
    train_autoencoder,
)
from flagdit_core.recipes.muon import Muon
from flagdit_core.recipes.networks import model_folder

INITIAL_LOG_VARIANCE = -6.0
"""Of the posterior, before training."""
COLUMNS = ("loss", "l1", "mse", "difference", "kl", "psnr")
"""Of metrics.csv: losses of one batch, and psnr (dB) of the averaged model on held-out pictures."""


class Draw(Protocol):
    """Where the pictures come from."""

    def __call__(self, generator: np.random.Generator, count: int, size: int, *, held_out: bool = False) -> Tensor:
        """Square pictures (count, 3, size, size), float32 in [-1, 1], all randomness from the generator."""
        ...


@dataclass(frozen=True, kw_only=True)
class PictureVAERecipe(AutoencoderRecipe):
    """Everything that decides the trained VAE, beside its pictures.

    Attributes:
        start_from: Model whose VAE, of the same form, the training begins with: a shipped one as "image/nano", its
            folder, or the folder of a VAE alone; None begins with random weights.
        decoder_only: The encoder and the latents' scale and shift stay those of ``start_from``: a network that was
            trained on its latents goes with the new decoder as it is.
        latent_noise: Latents of variance 1 are decoded with normal noise of a standard deviation drawn per picture from
            a half-normal distribution of this scale, so that the decoder bears with the errors of latents that a
            network made ("noise-augmented decoding", arXiv:2510.11690). It goes with ``decoder_only``.
        channels: Feature channels at full, half, quarter and eighth resolution.
        latent_channels: Channels of a latent.
        norm_num_groups: Groups of the group norms.
        batch_size: Pictures of a step.
        size: Side of the square pictures in pixels, a multiple of 8.
        muon_learning_rate: Peak of Muon's learning rate.
        muon_weight_decay: Of Muon.
        mse_weight: Weight of the mean squared error beside the L1.
        difference_weight: Weight of the L1 of horizontal and vertical differences.
        kl_weight: Weight of the KL divergence to a standard normal, per latent value.
        validation_pictures: Held-out pictures that PSNR is taken over; the first are written with reconstructions.
    """

    output_dir: Path = Path("runs/vae/vae")
    run_dir: Path = Path("runs/vae")
    start_from: str | None = None
    decoder_only: bool = False
    latent_noise: float = 0.0
    channels: tuple[int, ...] = (16, 32, 64, 128)
    latent_channels: int = 8
    norm_num_groups: int = 2
    batch_size: int = 12
    size: int = 64
    steps: int = 1500
    learning_rate: float = 1e-3
    muon_learning_rate: float = 2e-3
    warmup_steps: int = 20
    muon_weight_decay: float = 0.1
    ema_decay: float = 0.99
    mse_weight: float = 1.0
    difference_weight: float = 1.0
    kl_weight: float = 1e-4
    checkpoint_every: int = 100
    validation_pictures: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        groups = self.norm_num_groups
        if len(self.channels) != 4 or groups < 1 or any(width % groups for width in self.channels):
            raise ConfigError(
                f"expected four channels, multiples of norm_num_groups ({self.norm_num_groups}), got {self.channels}"
            )
        if self.size % 8 or min(self.size, self.batch_size, self.validation_pictures) < 1:
            raise ConfigError(
                "expected a size that is a multiple of 8, and a batch_size and validation_pictures of 1 or more, "
                f"got {self.size}, {self.batch_size} and {self.validation_pictures}"
            )
        if self.decoder_only and self.start_from is None:
            raise ConfigError("expected start_from, the folder whose encoder stays, with decoder_only; got None")
        if self.latent_noise < 0 or (self.latent_noise and not self.decoder_only):
            raise ConfigError(
                "expected a latent_noise of 0, or above 0 with decoder_only, since other latents' variance is not "
                f"known before the end; got {self.latent_noise} with decoder_only={self.decoder_only}"
            )


def train_picture_vae(
    config: PictureVAERecipe,
    draw: Draw,
    *,
    batch: Callable[[np.random.Generator, int], Tensor] | None = None,
) -> PictureCodec:
    """Train a VAE, or go on from ``run_dir``'s checkpoint, and write it to ``output_dir`` as a diffusers folder.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        draw: Pictures to learn from, to judge by and to take statistics of.
        batch: What a step learns from instead: (generator, step) -> (B, 3, H, W), sides multiples of 8.

    Returns:
        The codec over the averaged weights in float32. ``output_dir`` holds the same in bfloat16.

    Raises:
        ConfigError: ``run_dir`` holds a run of another recipe.
        CheckpointError: There is no ``start_from``, or it holds no VAE of this form.
    """
    validation = draw(random_stream(config, -1), config.validation_pictures, config.size, held_out=True)
    kept = _statistics_of(config) if config.decoder_only else None
    noise_scale = config.latent_noise / kept[0] if kept else 0.0

    def losses(
        model: AutoencoderKL, step: int, generator: np.random.Generator, noise: torch.Generator
    ) -> dict[str, Tensor]:
        pixels = draw(generator, config.batch_size, config.size) if batch is None else batch(generator, step)
        return _losses(config, model, pixels, noise, noise_scale=noise_scale)

    def validate(model: AutoencoderKL, done: int) -> dict[str, float]:
        return {"psnr": _validate(model, validation, config.run_dir / f"reconstructions_{done:06d}.png")}

    network = Autoencoder(
        build=partial(_build, config),
        optimizers=partial(_optimizers, config),
        losses=losses,
        validate=validate,
        columns=COLUMNS,
    )
    vae = train_autoencoder(config, network, phases=(config.steps,), free=("validation_pictures",))
    scale, shift = kept or _statistics(vae, draw(random_stream(config, -2), config.validation_pictures, config.size))
    PictureCodec(copy.deepcopy(vae).bfloat16(), scale, shift).save_pretrained(config.output_dir)
    return PictureCodec(vae, scale, shift)


def _build(config: PictureVAERecipe) -> AutoencoderKL:
    """A fresh model whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=config.channels,
            layers_per_block=1,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_num_groups,
            mid_block_add_attention=False,
            force_upcast=False,
            sample_size=512,
        )
        _initialise(model, config.latent_channels)
    if config.start_from is not None:
        load_into(model, read_state_dict(_started_from(config.start_from)), source=config.start_from)
    if config.decoder_only:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    return model.float()


@torch.no_grad()
def _initialise(model: AutoencoderKL, latent_channels: int) -> None:
    """Begin with an identity in every residual block, unit gain in every convolution and little posterior noise.

    PyTorch's default shrinks the signal in each convolution, and a posterior of variance 1 drowns it: with both, this
    small network learned next to nothing in its first hundreds of steps.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            torch.nn.init.constant_(module.bias, 0.0)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            torch.nn.init.zeros_(module.conv2.weight)
    model.quant_conv.bias[latent_channels:] = INITIAL_LOG_VARIANCE


def _optimizers(config: PictureVAERecipe, model: AutoencoderKL) -> list[torch.optim.Optimizer]:
    """Muon for the kernels of the blocks, AdamW for the first and last convolutions, norms and biases."""
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    inner = {name for name, value in trained if "block" in name and value.ndim == 4}
    kernels = [value for name, value in trained if name in inner]
    others = [value for name, value in trained if name not in inner]
    muon = Muon(kernels, lr=config.muon_learning_rate, weight_decay=config.muon_weight_decay)
    adamw = torch.optim.AdamW(others, config.learning_rate, (0.9, 0.99), weight_decay=config.weight_decay, fused=True)
    return [muon, adamw]


def _losses(
    config: PictureVAERecipe, model: AutoencoderKL, pixels: Tensor, generator: torch.Generator, *, noise_scale: float
) -> dict[str, Tensor]:
    """The weighted loss and its unweighted parts, all float32 scalars."""
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=config.autocast):
        posterior = model.encode(pixels).latent_dist
        latents = posterior.sample(generator)
        if noise_scale:
            latents = latents + noise_scale * _half_normal_noise(latents, generator)
        reconstruction = model.decode(latents).sample
    error = reconstruction.float() - pixels
    difference = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    parts = {"l1": error.abs().mean(), "mse": error.square().mean(), "difference": difference}
    parts["kl"] = kl_divergence(posterior.mean, posterior.logvar)
    loss = parts["l1"] + config.mse_weight * parts["mse"] + config.difference_weight * difference
    return {"loss": loss + config.kl_weight * parts["kl"], **parts}


@torch.no_grad()
def _validate(model: AutoencoderKL, pixels: Tensor, grid_path: Path) -> float:
    """Mean over pictures of the PSNR (dB) of the 8-bit reconstruction; writes originals above reconstructions."""
    decoded = [model.decode(model.encode(chunk).latent_dist.mode()).sample for chunk in torch.split(pixels, 16)]
    originals, pictures = to_pictures(pixels), to_pictures(torch.cat(decoded))
    squared = np.square(originals.astype(np.float64) - pictures).mean(axis=(1, 2, 3))
    _save_grid(originals, pictures, grid_path)
    return float(np.mean(10 * np.log10(255**2 / np.maximum(squared, 1e-3))))


def _half_normal_noise(latents: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise like latents (B, C, h, w), of a standard deviation per picture that is itself |N(0, 1)|."""
    deviation = torch.randn(len(latents), 1, 1, 1, generator=generator).abs()
    return (deviation * torch.randn(latents.shape, generator=generator)).to(latents)


def _started_from(name: str) -> Path:
    """The folder of the VAE that a training begins with."""
    folder = model_folder(name)
    return folder / "vae" if (folder / "vae").is_dir() else folder


def _statistics_of(config: PictureVAERecipe) -> tuple[float, float]:
    """The scale and shift of the latents of the VAE that a training begins with."""
    assert config.start_from is not None, "decoder_only goes with start_from"
    codec = PictureCodec.from_pretrained(_started_from(config.start_from))
    return codec.scale, codec.shift


@torch.no_grad()
def _statistics(model: AutoencoderKL, pixels: Tensor) -> tuple[float, float]:
    """The scale and shift that give the latents of ``pixels`` variance 1 and mean 0."""
    latents = torch.cat([model.encode(chunk).latent_dist.mode() for chunk in torch.split(pixels, 16)])
    return float(1 / latents.std()), float(latents.mean())


def _save_grid(originals: npt.NDArray[np.uint8], pictures: npt.NDArray[np.uint8], path: Path) -> None:
    """Write up to sixteen originals with their reconstructions below them, both (B, H, W, 3), as one PNG."""
    pairs = np.stack([originals[:16], pictures[:16]], axis=1)
    columns = min(8, len(pairs))
    shown = pairs[: len(pairs) // columns * columns]
    grid = einops.rearrange(shown, "(row column) pair h w c -> (row pair h) (column w) c", column=columns)
    Image.fromarray(grid).save(path)
