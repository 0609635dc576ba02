"""The recipe of the nano mel VAE, trained on the sound world from nothing.

The loss is L1 + MSE of the normalised log-mel spectrogram + L1 of its differences along time (sharp onsets) + a KL
term. That term keeps the latents smooth and their posterior noisy, so that what a generator gets slightly wrong still
decodes; decoding so much noise blurs, though. So in the last steps the decoder alone learns to decode little of it, and
the peaks of the spectrogram, which carry the pitch, count most. Afterwards the latents are normalised to mean 0 and
variance 1 by one shift and one scale, kept in the VAE's own configuration:
latent = (z - shift_factor) * scaling_factor.
"""

import copy
import math
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flagdit_core.errors import ConfigError
from lumina_audio.codec import reconstruct
from lumina_audio.mel import HOP, SAMPLE_RATE, log_mel
from lumina_audio.mel_codec import MelCodec
from lumina_audio.mel_vae import MelVAE, MelVAEConfig
from lumina_audio.recipes.mel_vae_run import MetricsLog, VAEState, load_checkpoint, save_checkpoint
from lumina_audio.world import Split, calibrate, render, sample_scene

INITIAL_LOG_VARIANCE = -6.0
"""Of the posterior, before training."""
_PEAK_RANGE, _LEAST_WEIGHT = 2.0, 0.1  # decades of amplitude; weight of what is softer, relative to the peak's


@dataclass(frozen=True, kw_only=True)
class MelVAERecipe:
    """Everything that decides the trained VAE.

    Attributes:
        output_dir: Where the finished codec goes.
        run_dir: Where checkpoint and metrics.csv go; a run found there is continued.
        vae: The network; its units of the latents are found by training.
        seed: Of the weights, the sounds and the posterior's noise.
        steps: Optimizer steps of the whole network.
        decoder_steps: Further steps of the decoder alone, with a learning rate that begins anew.
        decoder_noise: Fraction of the posterior's spread that latents are drawn with in those.
        frames_per_step: Mel frames of a step, in sounds of one duration.
        latents: Durations to draw from, in latents.
        weights: Relative frequencies of the world's categories.
        learning_rate: Peak of AdamW's learning rate.
        final_learning_rate: Its end, as a fraction of the peak, reached by a cosine.
        warmup_steps: Steps of linear warm-up.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are clipped to this norm.
        ema_decay: Of the averaged weights, which are what is evaluated and written.
        difference_weight: Weight of the differences along time.
        kl_weight: Weight of the KL divergence to a standard normal, per latent value.
        autocast: Compute in bfloat16 where that is safe.
        num_threads: CPU threads.
        log_every: Steps between rows of metrics.csv.
        checkpoint_every: Steps between checkpoints, each with a validation.
        validation_sounds: Held-out sounds that the error is taken over.
        verified_sounds: Held-out sounds whose reconstructions the verifier judges.
    """

    output_dir: Path = Path("runs/mel-vae/vae")
    run_dir: Path = Path("runs/mel-vae")
    vae: MelVAEConfig = field(default_factory=MelVAEConfig)
    seed: int = 0
    steps: int = 1600
    decoder_steps: int = 500
    decoder_noise: float = 0.3
    frames_per_step: int = 2560
    latents: tuple[int, ...] = (20, 28, 36, 44, 52)
    weights: tuple[float, float, float] = (0.35, 0.3, 0.35)
    learning_rate: float = 2e-3
    final_learning_rate: float = 0.01
    warmup_steps: int = 50
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    ema_decay: float = 0.995
    difference_weight: float = 0.5
    kl_weight: float = 5e-3
    autocast: bool = True
    num_threads: int = 1
    log_every: int = 20
    checkpoint_every: int = 500
    validation_sounds: int = 32
    verified_sounds: int = 30

    def __post_init__(self) -> None:
        """Check the settings that would otherwise fail late or silently."""
        counts = (self.steps, self.log_every, self.checkpoint_every, self.validation_sounds)
        if min(counts) < 1 or min(self.decoder_steps, self.verified_sounds) < 0:
            raise ConfigError(
                f"expected steps, intervals and sounds of 1 or more, and no negative number, got {counts}, "
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
    torch.set_num_threads(config.num_threads)
    config.run_dir.mkdir(parents=True, exist_ok=True)
    model, ema = _build(config), _build(config).requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(config, model), config.learning_rate, (0.9, 0.99), fused=True)
    state = VAEState(model=model, ema=ema, optimizer=optimizer)
    start, seconds = load_checkpoint(config.run_dir, state, settings=_settings(config))
    log = MetricsLog(config.run_dir, start=start)
    longest = max(config.latents)
    validation = _sounds(_generator(config, -1), config.validation_sounds, longest, config, split="held_out")
    began = time.perf_counter() - seconds
    last = config.steps + config.decoder_steps
    for step in range(start, last):
        if step == config.steps:
            state.model.load_state_dict(state.ema.state_dict())
        row = _train_step(config, state, step)
        done = step + 1
        if done % config.checkpoint_every == 0 or done == last:
            row |= _validate(config, ema, validation)
            spent = time.perf_counter() - began
            save_checkpoint(config.run_dir, state, step=done, seconds=spent, settings=_settings(config))
        if done % config.log_every == 0 or "error" in row:
            log.write(row | {"step": done, "seconds": time.perf_counter() - began})
    vae = _with_unit_latents(ema, _sounds(_generator(config, -2), 64, longest, config))
    MelCodec(copy.deepcopy(vae).bfloat16()).save_pretrained(config.output_dir)
    return MelCodec(vae)


def _settings(config: MelVAERecipe) -> str:
    """What decides the weights, for comparison."""
    watched = ("log_every", "checkpoint_every", "validation_sounds", "verified_sounds")
    free = ("output_dir", "run_dir", "num_threads", *watched)
    return repr({name: value for name, value in asdict(config).items() if name not in free})


def _build(config: MelVAERecipe) -> MelVAE:
    """A fresh model whose weights depend on the seed alone, and whose posterior has little noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = MelVAE(config.vae)
    assert model.to_moments.bias is not None
    with torch.no_grad():
        model.to_moments.bias[config.vae.latent_channels :] = INITIAL_LOG_VARIANCE
    return model


def _groups(config: MelVAERecipe, model: MelVAE) -> list[dict[str, object]]:
    """Parameters with and without weight decay."""
    parameters = list(model.parameters())
    return [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [value for value in parameters if value.ndim == 1], "weight_decay": 0.0},
    ]


def _generator(config: MelVAERecipe, stream: int) -> np.random.Generator:
    """Randomness for one step (0 and up) or one fixed set (below 0): a pure function of seed and stream."""
    return np.random.default_rng((config.seed, abs(stream), int(stream < 0)))


def _sounds(
    generator: np.random.Generator, count: int, latents: int, config: MelVAERecipe, *, split: Split = "train"
) -> Tensor:
    """Spectrograms (count, M, T) of world sounds of so many latents."""
    seconds = latents * config.vae.patch_frames * HOP / SAMPLE_RATE
    scenes = [sample_scene(generator, weights=config.weights, seconds=seconds, split=split) for _ in range(count)]
    return log_mel(torch.from_numpy(np.concatenate([render(scene).samples for scene in scenes])))


def _train_step(config: MelVAERecipe, state: VAEState, step: int) -> dict[str, float]:
    """One update of model and average; the step's losses."""
    generator = _generator(config, step)
    latents = config.latents[int(generator.integers(len(config.latents)))]
    count = config.frames_per_step // (latents * config.vae.patch_frames)
    mel_BMT = _sounds(generator, count, latents, config)
    noise = torch.Generator().manual_seed(config.seed + step)
    losses = _losses(config, state.model, mel_BMT, noise, decoder_alone=step >= config.steps)
    state.model.zero_grad()
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.max_grad_norm)
    learning_rate = config.learning_rate * _learning_rate_fraction(config, step)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate
    state.optimizer.step()
    decay = min(config.ema_decay, (step + 1) / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(state.ema.parameters()), list(state.model.parameters()), 1 - decay)
    return {name: value.item() for name, value in losses.items()} | {"learning_rate": learning_rate}


def _learning_rate_fraction(config: MelVAERecipe, step: int) -> float:
    """Of the peak: linear warm-up, then a cosine down to the final fraction; anew for the decoder's own steps."""
    steps = config.steps
    if step >= config.steps:
        step, steps = step - config.steps, config.decoder_steps
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    warmup = min(1.0, (step + 1) / config.warmup_steps)
    return warmup * (config.final_learning_rate + (1 - config.final_learning_rate) * cosine)


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
        "kl": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(),
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
