"""The recipe of the nano mel VAE, trained on the sound world from nothing.

The loss is L1 + MSE of the normalised log-mel spectrogram + L1 of its differences along time (sharp onsets) + a KL
term. That term keeps the latents smooth and their posterior noisy, so that what a generator gets slightly wrong still
decodes; decoding so much noise blurs, though. So in the last steps the decoder alone learns to decode little of it, and
the peaks of the spectrogram, which carry the pitch, count most. Afterwards the latents are normalised to mean 0 and
variance 1 by one shift and one scale, kept in the VAE's own configuration:
latent = (z - shift_factor) * scaling_factor.
"""

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.recipes.autoencoder import (
    Autoencoder,
    AutoencoderRecipe,
    kl_divergence,
    random_stream,
    train_autoencoder,
)
from flagdit_core.scenes import Split
from lumina_audio.codec import reconstruct
from lumina_audio.mel import HOP, SAMPLE_RATE, log_mel
from lumina_audio.mel_codec import MelCodec
from lumina_audio.mel_vae import MelVAE, MelVAEConfig
from lumina_audio.world import calibrate, render, sample_scene

INITIAL_LOG_VARIANCE = -6.0
"""Of the posterior, before training."""
_PEAK_RANGE, _LEAST_WEIGHT = 2.0, 0.1  # decades of amplitude; weight of what is softer, relative to the peak's


COLUMNS = ("loss", "l1", "mse", "difference", "kl", "error", "passed")
"""Of metrics.csv: losses of one batch; of the averaged model on held-out sounds the error (dB) and the pass rate."""


@dataclass(frozen=True, kw_only=True)
class MelVAERecipe(AutoencoderRecipe):
    """Everything that decides the trained VAE.

    Attributes:
        vae: The network; its units of the latents are found by training.
        decoder_steps: Steps of the decoder alone, after those of the whole network.
        decoder_noise: Fraction of the posterior's spread that latents are drawn with in those.
        frames_per_step: Mel frames of a step, in sounds of one duration.
        latents: Durations to draw from, in latents.
        weights: Relative frequencies of the world's categories.
        difference_weight: Weight of the differences along time.
        kl_weight: Weight of the KL divergence to a standard normal, per latent value.
        validation_sounds: Held-out sounds that the error is taken over.
        verified_sounds: Held-out sounds whose reconstructions the verifier judges.
    """

    output_dir: Path = Path("runs/mel-vae/vae")
    run_dir: Path = Path("runs/mel-vae")
    vae: MelVAEConfig = field(default_factory=MelVAEConfig)
    steps: int = 1600
    decoder_steps: int = 500
    decoder_noise: float = 0.3
    frames_per_step: int = 2560
    latents: tuple[int, ...] = (20, 28, 36, 44, 52)
    weights: tuple[float, float, float] = (0.35, 0.3, 0.35)
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    ema_decay: float = 0.995
    difference_weight: float = 0.5
    kl_weight: float = 5e-3
    checkpoint_every: int = 500
    validation_sounds: int = 32
    verified_sounds: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_sounds < 1 or min(self.decoder_steps, self.verified_sounds) < 0:
            raise ConfigError(
                f"expected validation_sounds of 1 or more, and no negative number, got {self.validation_sounds}, "
                f"decoder_steps {self.decoder_steps} and verified_sounds {self.verified_sounds}"
            )
        longest = max(self.latents) * self.vae.patch_frames
        if self.frames_per_step < longest:
            raise ConfigError(f"expected frames_per_step of {longest} or more, a sound's, got {self.frames_per_step}")


def mel_vae(config: MelVAERecipe) -> MelCodec:
    """Train the nano mel VAE, or go on from ``run_dir``'s checkpoint, and write it to ``output_dir``.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.

    Returns:
        The codec over the averaged weights in float32. ``output_dir`` holds the same in bfloat16.

    Raises:
        ConfigError: If settings contradict one another.

    Example:
        >>> mel_vae(MelVAERecipe(steps=2, validation_sounds=1, verified_sounds=0)).latent_channels  # doctest: +SKIP
        16
    """
    longest = max(config.latents)
    validation = _sounds(random_stream(config, -1), config.validation_sounds, longest, config, split="held_out")
    network = Autoencoder(
        build=partial(_build, config),
        optimizers=partial(_optimizers, config),
        losses=partial(_step_losses, config),
        validate=lambda model, _: _validate(config, model, validation),
        columns=COLUMNS,
    )
    phases = (config.steps, config.decoder_steps)
    trained = train_autoencoder(config, network, phases=phases, free=("validation_sounds", "verified_sounds"))
    vae = _with_unit_latents(trained, _sounds(random_stream(config, -2), 64, longest, config))
    MelCodec(copy.deepcopy(vae).bfloat16()).save_pretrained(config.output_dir)
    return MelCodec(vae)


def _build(config: MelVAERecipe) -> MelVAE:
    """A fresh model whose weights depend on the seed alone, and whose posterior has little noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = MelVAE(config.vae)
    assert model.to_moments.bias is not None
    with torch.no_grad():
        model.to_moments.bias[config.vae.latent_channels :] = INITIAL_LOG_VARIANCE
    return model


def _optimizers(config: MelVAERecipe, model: MelVAE) -> list[torch.optim.Optimizer]:
    """AdamW over all weights, with weight decay on the matrices alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [value for value in parameters if value.ndim == 1], "weight_decay": 0.0},
    ]
    return [torch.optim.AdamW(groups, config.learning_rate, (0.9, 0.99), fused=True)]


def _sounds(
    generator: np.random.Generator, count: int, latents: int, config: MelVAERecipe, *, split: Split = "train"
) -> Tensor:
    """Spectrograms (count, M, T) of world sounds of so many latents."""
    seconds = latents * config.vae.patch_frames * HOP / SAMPLE_RATE
    scenes = [sample_scene(generator, weights=config.weights, seconds=seconds, split=split) for _ in range(count)]
    return log_mel(torch.from_numpy(np.concatenate([render(scene).samples for scene in scenes])))


def _step_losses(
    config: MelVAERecipe, model: MelVAE, step: int, generator: np.random.Generator, noise: torch.Generator
) -> dict[str, Tensor]:
    """Of new sounds of one duration."""
    latents = config.latents[int(generator.integers(len(config.latents)))]
    count = config.frames_per_step // (latents * config.vae.patch_frames)
    mel_BMT = _sounds(generator, count, latents, config)
    return _losses(config, model, mel_BMT, noise, decoder_alone=step >= config.steps)


def _losses(
    config: MelVAERecipe, model: MelVAE, mel_BMT: Tensor, generator: torch.Generator, *, decoder_alone: bool
) -> dict[str, Tensor]:
    """The weighted loss and its unweighted parts, all float32 scalars."""
    with torch.autocast(mel_BMT.device.type, torch.bfloat16, enabled=config.autocast):
        with torch.set_grad_enabled(not decoder_alone):
            mean, log_variance = model.encode(mel_BMT)
        mean, log_variance = mean.float(), log_variance.float()
        spread = torch.exp(0.5 * log_variance) * (config.decoder_noise if decoder_alone else 1.0)
        decoded_BMT = model.decode(mean + spread * torch.randn(mean.shape, generator=generator))
    target_BMT = mel_BMT.clamp(min=config.vae.mel_floor)
    weight_BMT = _weights(config, target_BMT) if decoder_alone else torch.ones_like(target_BMT)
    error_BMT = (decoded_BMT.float() - target_BMT) / config.vae.mel_std
    parts = {
        "l1": (weight_BMT * error_BMT.abs()).mean(),
        "mse": (weight_BMT * error_BMT.square()).mean(),
        "difference": (weight_BMT[..., 1:] * error_BMT.diff(dim=-1).abs()).mean(),
        "kl": kl_divergence(mean, log_variance),
    }
    loss = parts["l1"] + parts["mse"] + config.difference_weight * parts["difference"]
    return {"loss": loss + config.kl_weight * parts["kl"], **parts}


def _weights(config: MelVAERecipe, mel_BMT: Tensor) -> Tensor:
    """How much each value counts, 1 on average: what is within 40 dB of its frame's loudest bin, in frames that sound.

    Unweighted, silence and the skirts of tones are most of the error, and tones beat: their peaks are too blunt.
    """
    loudest_B1T = mel_BMT.amax(dim=1, keepdim=True)
    near_BMT = (1 + (mel_BMT - loudest_B1T) / _PEAK_RANGE).clamp(min=0)
    sounds_B1T = ((loudest_B1T - config.vae.mel_floor) / _PEAK_RANGE).clamp(max=1)
    weight_BMT = _LEAST_WEIGHT + near_BMT * sounds_B1T
    return weight_BMT / weight_BMT.mean()


@torch.no_grad()
def _validate(config: MelVAERecipe, model: MelVAE, mel_BMT: Tensor) -> dict[str, float]:
    """Mean absolute error in decibels on held-out sounds, and how many reconstructions pass the verifier."""
    decoded_BMT = model.decode(model.encode(mel_BMT)[0])
    floor = config.vae.mel_floor
    row = {"error": 20 * float((decoded_BMT.clamp(min=floor) - mel_BMT.clamp(min=floor)).abs().mean())}
    if config.verified_sounds:
        rates = calibrate(config.verified_sounds, seed=config.seed, distort=partial(reconstruct, MelCodec(model)))
        row["passed"] = rates["right"]["all"]
    return row


@torch.no_grad()
def _with_unit_latents(model: MelVAE, mel_BMT: Tensor) -> MelVAE:
    """The same weights, with the scale and shift that give the latents of these sounds variance 1 and mean 0."""
    raw = model.encode(mel_BMT)[0]
    units = replace(model.config, scaling_factor=float(1 / raw.std()), shift_factor=float(raw.mean()))
    normalised = MelVAE(units)
    normalised.load_state_dict(model.state_dict())
    return normalised
