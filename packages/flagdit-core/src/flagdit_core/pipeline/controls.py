"""Controls on token coordinates, the same for every modality: given parts, other prompts, a smaller one to follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError


@dataclass(frozen=True, kw_only=True)
class Known:
    """Cells of a latent that are given: the first frame of a film, a span of sound, a part of a picture.

    They follow the straight line from their noise to their value, so that what is made around them meets them at every
    noise level, and end at it exactly. The network needs no training for it (replacement, as in section 5 of
    arXiv 2011.13456).

    Attributes:
        values: A whole latent, in the shape of the sample; only what the mask covers is read.
        mask: True where a cell is known; bool, broadcasts to the shape of the sample.
    """

    values: Tensor
    mask: Tensor


@dataclass(frozen=True, kw_only=True)
class Region:
    """Another prompt for a part of a latent, or a share of one: a corner of a picture, the end of a film.

    Attributes:
        prompt: What to make there.
        weight: Of this prompt's velocity, from 0 to 1; broadcasts to the shape of the sample. The sample's own prompt
            has the rest.
    """

    prompt: str
    weight: Tensor


_LEAST_TIME_LEFT = 1e-3


@dataclass(frozen=True, kw_only=True)
class Guide:
    r"""A smaller sample for a larger one to follow: projected flow (I-Max, arXiv 2410.07536).

    With r the straight velocity to the enlarged sample and P what a sample of the smaller one's cells can tell, the
    velocity v becomes :math:`v + c\,(r - v) + (1 - c)\,P(r - v)`, where :math:`c = (1 + \cos \pi t) / 2` falls from 1
    to 0 (the authors' code calls it "cosine_shift"). So what is where comes from the smaller sample, and the network
    adds the detail.

    Attributes:
        values: The smaller sample, enlarged: a whole latent at t = 1, in the shape of the sample.
        cells: How many the smaller one had along each axis but the channels'.
    """

    values: Tensor
    cells: tuple[int, ...]

    def follow(self, velocity: Tensor, x: Tensor, t: float) -> Tensor:
        """The velocity of a sample that follows.

        Args:
            velocity: The network's, in the shape of the sample.
            x: The sample.
            t: Time in [0, 1].

        Returns:
            What the solver is to follow instead.
        """
        straight = (self.values.to(x) - x) / max(1 - t, _LEAST_TIME_LEFT)
        difference, share = straight - velocity, 0.5 * (1 + math.cos(math.pi * t))
        return velocity + share * difference + (1 - share) * self._coarse(difference)

    def _coarse(self, values: Tensor) -> Tensor:
        """What so many cells can tell: means over each, and lines between them."""
        lines = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(self.cells)]
        means = F.interpolate(values[None], size=self.cells, mode="area")
        return F.interpolate(means, size=values.shape[1:], mode=lines)[0]


def known_cells(
    known: Sequence[Known | None], start: Sequence[Tensor], device: torch.device
) -> tuple[Tensor, Tensor] | None:
    """Where cells are known, and the constant velocity that takes them there.

    Args:
        known: One for each sample, or None for it.
        start: The samples at t = 0.
        device: Where to.

    Returns:
        Mask (bool) and velocity (float32), each one vector over all samples; None where nothing is known.

    Raises:
        ConfigError: There are not as many as samples, or a mask is not bool.
        ShapeError: A shape does not fit its sample.
    """
    if len(known) != len(start):
        raise ConfigError(f"expected one known part, or None, for each of {len(start)} samples, got {len(known)}")
    if not any(known):
        return None
    masks, velocities = [], []
    for item, noise in zip(known, start, strict=True):
        if item is None:
            masks.append(torch.zeros_like(noise, dtype=torch.bool))
            velocities.append(torch.zeros_like(noise))
            continue
        if item.mask.dtype != torch.bool:
            raise ConfigError(f"the mask of a known part must be bool, got {item.mask.dtype}")
        if item.values.shape != noise.shape:
            raise ShapeError(f"expected known values of shape {tuple(noise.shape)}, got {tuple(item.values.shape)}")
        masks.append(broadcast(item.mask.to(device), noise, "mask of a known part"))
        velocities.append(torch.where(masks[-1], item.values.to(noise) - noise, 0.0))
    return torch.cat([mask.flatten() for mask in masks]), torch.cat([item.flatten() for item in velocities])


def broadcast(values: Tensor, like: Tensor, what: str) -> Tensor:
    """Values in the shape of a sample.

    Args:
        values: To be broadcast.
        like: The sample.
        what: For the message.

    Returns:
        The values in its shape.

    Raises:
        ShapeError: They do not broadcast to it.
    """
    try:
        return values.expand(like.shape)
    except RuntimeError as error:
        raise ShapeError(
            f"expected the {what} to broadcast to {tuple(like.shape)}, got {tuple(values.shape)}"
        ) from error


def region_weights(regions: Sequence[Region], sample: Tensor) -> list[Tensor]:
    """The weight of a sample's own prompt, then of each region's.

    Args:
        regions: Of one sample.
        sample: Whose shape and device they get.

    Returns:
        Tensors in the shape of the sample that add up to 1.

    Raises:
        ConfigError: A weight is negative, or they add up to more than 1.
        ShapeError: A weight does not broadcast to the sample.
    """
    weights = [broadcast(region.weight.to(sample), sample, "weight of a region") for region in regions]
    own = 1 - sum(weights, torch.zeros_like(sample))
    if min(float(weight.min()) for weight in weights) < 0 or float(own.min()) < -1e-6:
        raise ConfigError("the weights of regions must lie in [0, 1] and add up to at most 1 in every cell")
    return [own, *weights]
