"""Paths from noise to data: x_t = alpha(t) x1 + sigma(t) x0, with x0 ~ N(0, I) at t = 0 and data x1 at t = 1.

SiT (Ma et al. 2024, arXiv 2401.08740) compares the three; Lumina-T2X trains on the linear one.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.flow.latents import as_time, map_latents
from flagdit_core.flow.registry import lookup
from flagdit_core.layout import Latents


class Coefficients(NamedTuple):
    """alpha, sigma and their derivatives in t, each of the shape of t."""

    alpha: Tensor
    d_alpha: Tensor
    sigma: Tensor
    d_sigma: Tensor


class Path(Protocol):
    """What conversions, losses and samplers need of a path."""

    def coefficients(self, t: Tensor | float) -> Coefficients:
        """(alpha, d_alpha, sigma, d_sigma) at t, scalar or (B,), in [0, 1]."""
        ...

    def determinant(self, t: Tensor | float) -> Tensor:
        """W = alpha' sigma - alpha sigma', the determinant of the map (x1, x0) -> (velocity, x), in closed form."""
        ...


@dataclass(frozen=True, kw_only=True)
class LinearPath:
    """alpha = t, sigma = 1 - t: rectified flow, the path of Lumina-T2X."""

    def coefficients(self, t: Tensor | float) -> Coefficients:
        """(t, 1, 1 - t, -1)."""
        t = as_time(t)
        return Coefficients(t, torch.ones_like(t), 1 - t, -torch.ones_like(t))

    def determinant(self, t: Tensor | float) -> Tensor:
        """One."""
        return torch.ones_like(as_time(t))


@dataclass(frozen=True, kw_only=True)
class GVPPath:
    """alpha = sin(pi t / 2), sigma = cos(pi t / 2): generalised variance preserving."""

    def coefficients(self, t: Tensor | float) -> Coefficients:
        """Sine and cosine of pi t / 2 and their derivatives; sigma(1) and alpha'(1) are exactly zero."""
        t = as_time(t)
        half_pi = math.pi / 2
        alpha, sigma = torch.sin(half_pi * t), torch.sin(half_pi * (1 - t))
        return Coefficients(alpha, half_pi * sigma, sigma, -half_pi * alpha)

    def determinant(self, t: Tensor | float) -> Tensor:
        """The constant pi / 2."""
        return torch.full_like(as_time(t), math.pi / 2)


@dataclass(frozen=True, kw_only=True)
class VPPath:
    """alpha = exp(l), sigma = sqrt(1 - exp(2 l)): variance preserving diffusion with a linear beta.

    l(t) = -(1 - t)^2 (beta_max - beta_min) / 4 - (1 - t) beta_min / 2, the log mean coefficient of Song et al. 2021
    (arXiv 2011.13456, appendix B) with time reversed. At t = 1 sigma is exactly 0 and its derivative is -inf, so the
    *target* velocity has no value there: train and sample up to 1 - eps (``intervals.interval``).

    Attributes:
        beta_min: beta at the data end, > 0.
        beta_max: beta at the noise end, > beta_min.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min < self.beta_max < math.inf:
            raise ConfigError(f"expected 0 < beta_min < beta_max, got {self.beta_min} and {self.beta_max}")

    def coefficients(self, t: Tensor | float) -> Coefficients:
        """exp(l), sqrt(-expm1(2 l)) and their derivatives."""
        t = as_time(t)
        log_alpha, d_log_alpha = self._log_alpha(t)
        alpha, sigma = log_alpha.exp(), torch.sqrt(-torch.expm1(2 * log_alpha))
        return Coefficients(alpha, alpha * d_log_alpha, sigma, -(alpha**2) * d_log_alpha / sigma)

    def determinant(self, t: Tensor | float) -> Tensor:
        """W = alpha l' / sigma, from alpha^2 + sigma^2 = 1."""
        _, d_alpha, sigma, _ = self.coefficients(t)
        return d_alpha / sigma

    def _log_alpha(self, t: Tensor) -> tuple[Tensor, Tensor]:
        s, slope = 1 - t, self.beta_max - self.beta_min
        return -(s**2) * slope / 4 - s * self.beta_min / 2, (s * slope + self.beta_min) / 2


PATHS: Final[dict[str, Path]] = {"linear": LinearPath(), "gvp": GVPPath(), "vp": VPPath()}


def get_path(name: str) -> Path:
    """The path called ``name``.

    Args:
        name: "linear", "gvp" or "vp".

    Returns:
        The path.

    Raises:
        ConfigError: The name is unknown.

    Example:
        >>> get_path("linear")
        LinearPath()
    """
    return lookup(PATHS, name, "path")


def interpolate(path: Path, x0: Latents, x1: Latents, t: Tensor | float) -> Latents:
    """x_t = alpha(t) x1 + sigma(t) x0.

    Args:
        path: The path.
        x0: Noise, a batch (B, C, ...) or a list of items (C, ...).
        x1: Data, in the same form and shapes.
        t: Time in [0, 1], scalar or (B,).

    Returns:
        x_t, in the form and dtype of x0.

    Raises:
        ShapeError: Shapes or numbers differ.
    """

    def combine(t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        alpha, _, sigma, _ = path.coefficients(t)
        return alpha * x1 + sigma * x0

    return map_latents(combine, t, x0, x1)


def target_velocity(path: Path, x0: Latents, x1: Latents, t: Tensor | float) -> Latents:
    """dx_t/dt = alpha'(t) x1 + sigma'(t) x0 along one pair; on the linear path x1 - x0.

    Args:
        path: The path.
        x0: Noise, a batch (B, C, ...) or a list of items (C, ...).
        x1: Data, in the same form and shapes.
        t: Time in [0, 1], scalar or (B,).

    Returns:
        The velocity, in the form and dtype of x0.

    Raises:
        ShapeError: Shapes or numbers differ.
    """

    def combine(t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        _, d_alpha, _, d_sigma = path.coefficients(t)
        return d_alpha * x1 + d_sigma * x0

    return map_latents(combine, t, x0, x1)
