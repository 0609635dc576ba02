"""The guided velocity of a batch of prompts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.guidance import classifier_free_guidance
from flagdit_core.layout import Latents
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.pipeline.components import Components
from flagdit_core.pipeline.controls import Region, region_weights
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.report import Report
from flagdit_core.text_encoder import TextEncoder

Shape = tuple[int, ...]
_LONGEST_QUOTE = 40


class GuidedVelocity:
    """The velocity that a sampler follows; each guided step is one packed forward.

    Each distinct text is encoded once, and what the network reads from it is computed once for all steps.
    A sample with regions is evaluated once for each of its prompts, and the velocities are mixed by their weights.

    Args:
        components: Text encoder and network.
        prompts: N texts.
        negatives: N texts to guide away from; None for the null prompt.
        start: N latents, of whose shapes and device the weights of regions are.
        settings: Guidance and extrapolation.
        report: Tokens dropped from a prompt are noted here.
        regions: Further prompts of each sample.

    Attributes:
        evaluations: Forwards of the network so far.

    Raises:
        ConfigError: ``training_shape`` is no whole number of patches, where the settings need it.
    """

    def __init__(
        self,
        components: Components,
        prompts: Sequence[str],
        negatives: Sequence[str | None],
        start: Sequence[Tensor],
        settings: SamplingSettings,
        report: Report,
        *,
        regions: Sequence[Sequence[Region]] | None = None,
    ) -> None:
        self.evaluations = 0
        self._network = network = components.model
        further = regions if regions is not None else [()] * len(start)
        self._weights = [region_weights(items, x) if items else [] for items, x in zip(further, start, strict=True)]
        texts, samples = list[str](), list[int]()  # row by row: a text, and the sample that it is for
        for sample, (prompt, items) in enumerate(zip(prompts, further, strict=True)):
            texts += [prompt, *(region.prompt for region in items)]
            samples += [sample] * (1 + len(items))
        self._conditional_rows = len(samples)
        if settings.guidance_scale != 1.0:
            null = components.text_encoder.config.null_prompt
            texts += [null if text is None else text for text in negatives]
            samples += range(len(prompts))
        self._samples = samples
        features_BMY, mask_BM = _encode(components.text_encoder, texts, report)
        self._caption = network.read_caption(features_BMY.to(network.dtype), mask_BM)
        self._base_sequence_length = _base_sequence_length(network, settings)
        shapes = [start[sample].shape for sample in samples]
        ntk = [_ntk_factor(network, shape, settings) for shape in shapes]
        scaling = [_rope_scaling_factor(network, shape, settings) for shape in shapes]
        self._ntk_B = torch.tensor(ntk, dtype=torch.float64, device=network.device)
        self._rope_scaling_B = torch.tensor(scaling, dtype=torch.float64, device=network.device)
        self._guided = classifier_free_guidance(
            self._both,
            self._conditional,
            scale=settings.guidance_scale,
            interval=settings.guidance_interval,
            rescale=settings.guidance_rescale,
            channels=settings.guidance_channels,
        )

    def __call__(self, latents: list[Tensor], t: Tensor) -> list[Tensor]:
        """The guided velocity of N latents at time t."""
        return list(self._guided(latents, t))

    def _conditional(self, latents: Latents, t: Tensor) -> list[Tensor]:
        return self._mix(self._evaluate(latents, t, self._conditional_rows))

    def _both(self, latents: Latents, t: Tensor) -> tuple[Latents, Latents]:
        velocities = self._evaluate(latents, t, len(self._samples))
        return self._mix(velocities[: self._conditional_rows]), velocities[self._conditional_rows :]

    def _mix(self, velocities: list[Tensor]) -> list[Tensor]:
        """One velocity for each sample from those of its prompts."""
        rows = iter(velocities)
        return [
            sum((weight * next(rows) for weight in weights[1:]), weights[0] * next(rows)) if weights else next(rows)
            for weights in self._weights
        ]

    def _evaluate(self, latents: Latents, t: Tensor, rows: int) -> list[Tensor]:
        """One forward of the first so many rows."""
        self.evaluations += 1
        velocities = self._network(
            [latents[sample].to(self._network.dtype) for sample in self._samples[:rows]],
            t,
            self._caption.first(rows),
            ntk_factor=self._ntk_B[:rows],
            rope_scaling_factor=self._rope_scaling_B[:rows],
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


def count_patches(network: FlagDiT, shape: Shape) -> int:
    """Patches in a latent."""
    return torch.Size(shape[1:]).numel() // network.config.patch_size**2


def _ntk_factor(network: FlagDiT, shape: Shape, settings: SamplingSettings) -> float:
    """The factor on the rotary base for one latent."""
    if settings.ntk_factor != "auto":
        return settings.ntk_factor
    return max(1.0, count_patches(network, shape) / count_patches(network, _training_shape(network, settings)))


def _rope_scaling_factor(network: FlagDiT, shape: Shape, settings: SamplingSettings) -> float:
    """What positions of one latent are divided by."""
    if settings.rope_scaling_factor != "auto":
        return settings.rope_scaling_factor
    as_film = (shape[0], *(1,) * (4 - len(shape)), *shape[1:])
    return network.layout.row_step(as_film) / network.layout.row_step(_training_shape(network, settings))


def _base_sequence_length(network: FlagDiT, settings: SamplingSettings) -> int | None:
    """Tokens of a training sequence, where attention is scaled by it."""
    if not settings.proportional_attention:
        return None
    if settings.base_sequence_length is not None:
        return settings.base_sequence_length
    return network.layout.sequence_length(_training_shape(network, settings))


def _training_shape(network: FlagDiT, settings: SamplingSettings) -> Shape:
    """(C, T, H, W) of a latent that the network was trained at, C being 1."""
    assert settings.training_shape is not None
    patch = network.config.patch_size
    if any(side % patch for side in settings.training_shape[1:]):
        raise ConfigError(
            f"expected training_shape=(T, H, W) with H and W multiples of the patch size {patch}, "
            f"got {settings.training_shape}"
        )
    return (1, *settings.training_shape)
