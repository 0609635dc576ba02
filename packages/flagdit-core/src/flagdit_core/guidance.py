"""Guidance: wrappers that turn the velocities of a model into the one that a sampler follows.

They take and return latents, a batch (B, C, ...) or a list of unequal items (C, ...), and t as the sampler gives it.
"""

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.layout import Latents

_TINY: Final = torch.finfo(torch.float32).tiny

LatentVelocity = Callable[[Latents, Tensor], Latents]
"""(latents, t) -> velocity in the same form; t is 0-dim."""

PairedVelocity = Callable[[Latents, Tensor], tuple[Latents, Latents]]
"""(latents, t) -> (conditional velocity, unconditional velocity)."""


def classifier_free_guidance(
    both: PairedVelocity,
    conditional: LatentVelocity,
    *,
    scale: float,
    interval: tuple[float, float] = (0.0, 1.0),
    rescale: float = 0.0,
    channels: int | None = None,
) -> LatentVelocity:
    """v_u + scale (v_c - v_u) while t is in the interval, v_c outside of it.

    Classifier-free guidance is Ho and Salimans 2022 (arXiv 2207.12598). The interval is Kynkaanniemi et al. 2024 (arXiv
    2404.07724), which guides while the noise level is in a middle range; on the linear path their noise level is
    (1 - t) / t, so a range (low, high] of it is the interval (1 / (1 + high), 1 / (1 + low)). The rescale is Lin et al.
    2024 (arXiv 2305.08891, section 3.4): the guided velocity is given the standard deviation that the conditional one
    has within each sample, and the result mixed with the plain one.

    Args:
        both: (latents, t) -> (v_c, v_u), best in one packed forward.
        conditional: (latents, t) -> v_c alone; used wherever guidance would change nothing.
        scale: Guidance scale, finite; 1 is no guidance, 0 the unconditional velocity.
        interval: Times (first, last) in [0, 1] between which guidance acts, both included.
        rescale: Share of the rescaled velocity in [0, 1]; 0 is off.
        channels: Guide only the first so many channels and take the others from v_c; None guides all. The public
            Lumina-T2X checkpoints were sampled with 3 (of 4).

    Returns:
        The guided velocity function. It computes in float32 and casts back.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> guided = classifier_free_guidance(lambda x, t: (x, -x), lambda x, t: x, scale=4.0)
        >>> guided(torch.ones(1, 1, 1, 1), torch.tensor(0.5)).item()
        7.0
    """
    _check(scale, interval, rescale, channels)
    first, last = torch.tensor(interval, dtype=torch.float32).tolist()  # as t itself is rounded
    always = first == 0.0 and last == 1.0

    def guided(latents: Latents, t: Tensor) -> Latents:
        if scale == 1.0 or not (always or first <= float(t) <= last):
            return conditional(latents, t)
        cond, uncond = both(latents, t)
        if isinstance(cond, Tensor) and isinstance(uncond, Tensor):
            return torch.stack([_guide(c, u, scale, rescale, channels) for c, u in zip(cond, uncond, strict=True)])
        return [_guide(c, u, scale, rescale, channels) for c, u in zip(cond, uncond, strict=True)]

    return guided


def _guide(cond: Tensor, uncond: Tensor, scale: float, rescale: float, channels: int | None) -> Tensor:
    """One sample (C, ...)."""
    if channels is not None and channels > len(cond):
        raise ConfigError(f"expected at most the {len(cond)} channels of the latents to guide, got {channels}")
    c, u = cond[:channels].float(), uncond[:channels].float()
    guided = u + scale * (c - u)
    if rescale:
        guided = guided * (1 - rescale + rescale * c.std(correction=0) / guided.std(correction=0).clamp_min(_TINY))
    return torch.cat([guided.to(cond.dtype), cond[channels:]]) if channels is not None else guided.to(cond.dtype)


def _check(scale: float, interval: tuple[float, float], rescale: float, channels: int | None) -> None:
    if not math.isfinite(scale):
        raise ConfigError(f"expected a finite guidance scale, got {scale}; 1 turns guidance off")
    if len(interval) != 2 or not 0 <= interval[0] <= interval[1] <= 1:
        raise ConfigError(f"expected a guidance interval (first, last) with 0 <= first <= last <= 1, got {interval}")
    if not 0 <= rescale <= 1:
        raise ConfigError(f"expected a guidance rescale in [0, 1], got {rescale}")
    if channels is not None and channels < 1:
        raise ConfigError(f"expected at least one guided channel, got {channels}; None guides all")
