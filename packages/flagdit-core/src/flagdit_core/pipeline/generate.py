"""From prompts to latents: what all modalities share."""

from collections.abc import Callable, Sequence

import torch
from flagdit_kernels import explain
from torch import Tensor
from tqdm import tqdm

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.flow.samplers import get_sampler
from flagdit_core.flow.schedules import linear_times
from flagdit_core.guidance import classifier_free_guidance
from flagdit_core.layout import Latents
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.noise import latent_noise
from flagdit_core.pipeline.components import Components
from flagdit_core.pipeline.memory import check_memory
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.report import Report
from flagdit_core.text_encoder import TextEncoder

Shape = tuple[int, ...]
StepCallback = Callable[[int, float, list[Tensor]], None]
_LONGEST_QUOTE = 40


@torch.no_grad()
def generate_latents(
    components: Components,
    prompts: Sequence[str],
    shapes: Sequence[Shape],
    settings: SamplingSettings,
    *,
    seeds: Sequence[int],
    indices: Sequence[int],
    negative_prompts: Sequence[str | None] | None = None,
    latents: Sequence[Tensor] | None = None,
    callback: StepCallback | None = None,
    progress: bool | None = False,
    report: Report,
) -> list[Tensor]:
    """Latents sampled from noise, one for each prompt; all of them in one packed batch, whatever their shapes.

    Sample i depends on its prompt, shape, seed and index only, and not on what is sampled beside it (but to rounding,
    and for adaptive solvers, whose steps follow the whole batch).

    Args:
        components: The parts.
        prompts: N texts.
        shapes: N latent shapes (C, H, W) or (C, T, H, W) or (C, L).
        settings: How to sample.
        seeds: N seeds of the noise.
        indices: N sample numbers under their seeds.
        negative_prompts: N texts to guide away from; None for the null prompt.
        latents: N starting points at t = 0 of those shapes, instead of noise from the seeds.
        callback: Called after each step with (step index, time reached, N latents); raise ``CancelledError`` to stop.
        progress: Show a progress bar; None shows it on a terminal only.
        report: What was used, and every deviation, is noted here.

    Returns:
        N latents at t = 1, float32, on the network's device.

    Raises:
        ConfigError: The numbers of prompts, shapes, seeds or indices differ, or a value is out of range.
        ShapeError: A starting point has another shape.
        OutOfMemoryError: The device is too small for it.
        StrictError: The report is strict and there was a deviation.
    """
    count, network = len(prompts), components.model
    negatives = [None] * count if negative_prompts is None else list(negative_prompts)
    if not len(shapes) == len(seeds) == len(indices) == len(negatives) == count > 0:
        raise ConfigError(
            f"expected as many shapes, seeds, indices and negative prompts as prompts ({count}, at least 1), "
            f"got {len(shapes)}, {len(seeds)}, {len(indices)}, {len(negatives)}"
        )
    _check_size(network, shapes, settings)
    start = _starting_points(shapes, seeds, indices, latents, network.device)
    sizes = [item.numel() for item in start]
    velocity = _Velocity(components, prompts, negatives, shapes, settings, report)

    def flat_velocity(x: Tensor, t: Tensor) -> Tensor:
        return _flatten(velocity(_unflatten(x, sizes, shapes), t))

    times = linear_times(settings.num_inference_steps, shift=settings.time_shift)
    with tqdm(total=len(times) - 1, disable=None if progress is None else not progress, leave=False) as bar:

        def after_step(step: int, t: float, x: Tensor) -> None:
            bar.update()
            if callback is not None:
                callback(step, t, _unflatten(x, sizes, shapes))

        sampler = get_sampler(settings.solver).function
        final = sampler(flat_velocity, _flatten(start), times, callback=after_step)
    kernels = {name: f"{choice['backend']}: {choice['reason']}" for name, choice in explain(device=network.device).items()}
    report.record(
        **settings.to_dict(),
        seeds=list(seeds),
        indices=list(indices),
        function_evaluations=velocity.evaluations,
        device=str(network.device),
        dtype=str(network.dtype).removeprefix("torch."),
        kernels=kernels,
    )
    return _unflatten(final, sizes, shapes)


class _Velocity:
    """The guided velocity of a list of latents; counts the network's evaluations."""

    def __init__(
        self,
        components: Components,
        prompts: Sequence[str],
        negatives: Sequence[str | None],
        shapes: Sequence[Shape],
        settings: SamplingSettings,
        report: Report,
    ) -> None:
        self.evaluations = 0
        self._network = network = components.model
        guided = settings.guidance_scale != 1.0
        null = components.text_encoder.config.null_prompt
        unconditional = [null if text is None else text for text in negatives] if guided else []
        features_BMY, mask_BM = _encode(components.text_encoder, [*prompts, *unconditional], report)
        self._caption_BMY, self._mask_BM = features_BMY.to(network.dtype), mask_BM
        self._count = len(prompts)
        self._base_sequence_length = _base_sequence_length(network, settings)
        factors = [_ntk_factor(network, shape, settings) for shape in shapes]
        self._ntk_B = torch.tensor(factors * 2 if guided else factors, dtype=torch.float64, device=network.device)
        self._rope_scaling_factor = settings.rope_scaling_factor
        self._guided = classifier_free_guidance(
            self._both,
            self._conditional,
            scale=settings.guidance_scale,
            interval=settings.guidance_interval,
            rescale=settings.guidance_rescale,
            channels=settings.guidance_channels,
        )

    def __call__(self, latents: list[Tensor], t: Tensor) -> Latents:
        return self._guided(latents, t)

    def _conditional(self, latents: Latents, t: Tensor) -> list[Tensor]:
        return self._evaluate(list(latents), t)

    def _both(self, latents: Latents, t: Tensor) -> tuple[Latents, Latents]:
        velocities = self._evaluate([*latents, *latents], t)
        return velocities[: self._count], velocities[self._count :]

    def _evaluate(self, latents: list[Tensor], t: Tensor) -> list[Tensor]:
        """One forward of the first ``len(latents)`` captions."""
        self.evaluations += 1
        batch = len(latents)
        velocities = self._network(
            [latent.to(self._network.dtype) for latent in latents],
            t,
            self._caption_BMY[:batch],
            self._mask_BM[:batch],
            ntk_factor=self._ntk_B[:batch],
            rope_scaling_factor=self._rope_scaling_factor,
            base_sequence_length=self._base_sequence_length,
        )
        return [velocity.float() for velocity in velocities]


def _encode(encoder: TextEncoder, texts: list[str], report: Report) -> tuple[Tensor, Tensor]:
    """Features and mask, one row for each text; each distinct text is encoded once."""
    distinct = list(dict.fromkeys(texts))
    encoded = encoder(distinct)
    for text, dropped in zip(distinct, encoded.dropped, strict=True):
        if dropped:
            quote = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
            report.deviation(f"prompt {quote!r}: {dropped} tokens past {encoder.config.max_tokens} were dropped")
    rows = torch.tensor([distinct.index(text) for text in texts], device=encoded.features.device)
    return encoded.features[rows], encoded.mask[rows]


def _starting_points(
    shapes: Sequence[Shape],
    seeds: Sequence[int],
    indices: Sequence[int],
    latents: Sequence[Tensor] | None,
    device: torch.device,
) -> list[Tensor]:
    """What each sample starts from at t = 0, float32."""
    if latents is None:
        return [
            latent_noise(shape, seed=seed, index=index).to(device)
            for shape, seed, index in zip(shapes, seeds, indices, strict=True)
        ]
    given = [tuple(item.shape) for item in latents]
    if given != [tuple(shape) for shape in shapes]:
        raise ShapeError(f"expected latents of shapes {list(map(tuple, shapes))}, got {given}")
    return [item.to(device=device, dtype=torch.float32) for item in latents]


def _patches(network: FlagDiT, shape: Shape) -> int:
    """Patches in a latent."""
    return torch.Size(shape[1:]).numel() // network.config.patch_size**2


def _ntk_factor(network: FlagDiT, shape: Shape, settings: SamplingSettings) -> float:
    """The factor on the rotary base for one latent."""
    if settings.ntk_factor != "auto":
        return settings.ntk_factor
    assert settings.training_shape is not None
    return max(1.0, _patches(network, shape) / _patches(network, (1, *settings.training_shape)))


def _base_sequence_length(network: FlagDiT, settings: SamplingSettings) -> int | None:
    """Tokens of a training sequence, where attention is scaled by it."""
    if not settings.proportional_attention:
        return None
    if settings.base_sequence_length is not None:
        return settings.base_sequence_length
    assert settings.training_shape is not None
    return network.layout.sequence_length((1, *settings.training_shape))


def _check_size(network: FlagDiT, shapes: Sequence[Shape], settings: SamplingSettings) -> None:
    """Refuse what cannot fit: a block holds the tokens, and at its widest the two halves of SwiGLU."""
    config = network.config
    tokens = sum(_patches(network, shape) for shape in shapes) * (2 if settings.guidance_scale != 1.0 else 1)
    needed = tokens * (config.hidden_size + 2 * config.ffn_hidden_size) * network.dtype.itemsize
    check_memory(needed, network.device, f"sampling {len(shapes)} latents, the first of shape {tuple(shapes[0])},")


def _flatten(latents: Latents) -> Tensor:
    """All latents as one vector, which is what a sampler carries along."""
    return torch.cat([item.reshape(-1) for item in latents])


def _unflatten(x: Tensor, sizes: Sequence[int], shapes: Sequence[Shape]) -> list[Tensor]:
    """The latents of a vector."""
    return [piece.view(shape) for piece, shape in zip(x.split(list(sizes)), shapes, strict=True)]
