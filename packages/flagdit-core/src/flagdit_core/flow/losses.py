"""Flow-matching regression losses, one number per sample."""

from collections.abc import Callable
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.flow.latents import as_float32, as_time, map_latents
from flagdit_core.flow.paths import LinearPath, Path, interpolate
from flagdit_core.flow.predictions import Prediction
from flagdit_core.layout import Latents

Weighting = Literal["none", "velocity", "likelihood"]
LINEAR: Final = LinearPath()


def flow_matching_loss(
    model: Callable[[Latents, Tensor], Latents],
    x1: Latents,
    x0: Latents,
    t: Tensor,
    *,
    path: Path = LINEAR,
    prediction: Prediction = "velocity",
    weighting: Weighting = "none",
) -> Tensor:
    """The loss of a model at x_t = alpha(t) x1 + sigma(t) x0; see ``prediction_loss``.

    Args:
        model: (x_t, t) -> its prediction, in the form of x_t.
        x1: Data, a batch (B, C, ...) or a list of B items (C, ...).
        x0: Noise, in the same form and shapes.
        t: Times in [0, 1], (B,) float32.
        path: The path.
        prediction: What the model predicts.
        weighting: How sample losses are weighted over t.

    Returns:
        (B,) float32, differentiable in the model's parameters.

    Example:
        >>> x1, x0 = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
        >>> flow_matching_loss(lambda x, t: torch.zeros_like(x), x1, x0, torch.tensor([0.1, 0.9]))
        tensor([1., 1.])
    """
    return prediction_loss(
        model(interpolate(path, x0, x1, t), t), x1, x0, t, path=path, prediction=prediction, weighting=weighting
    )


def prediction_loss(
    output: Latents,
    x1: Latents,
    x0: Latents,
    t: Tensor,
    *,
    path: Path = LINEAR,
    prediction: Prediction = "velocity",
    weighting: Weighting = "none",
) -> Tensor:
    """Weighted mean squared error of each sample's prediction.

    With "none" the errors are v - (alpha' x1 + sigma' x0) for velocity, eps - x0 for noise, sigma s + x0 for score and
    x - x1 for data. "velocity" measures any of them as an error of the velocity, "likelihood" weighs the squared error
    of the score with the diffusion that bounds the likelihood, w = sigma (alpha' sigma - alpha sigma') / alpha
    (SiT, Ma et al. 2024, arXiv 2401.08740).

    Args:
        output: What the model predicted, in the form of x1.
        x1: Data, a batch (B, C, ...) or a list of B items (C, ...).
        x0: Noise, in the same form and shapes.
        t: Times in [0, 1], (B,) float32. The weights, and the VP path's velocity, are infinite at some of the ends;
            keep t in ``intervals.interval``.
        path: The path.
        prediction: What the model predicts.
        weighting: How sample losses are weighted over t.

    Returns:
        (B,) float32, the mean over all but the batch dimension (each item of a list counts alike).

    Raises:
        ConfigError: The prediction or the weighting is unknown.
        ShapeError: Shapes differ, or t is not (B,).
    """
    weight = loss_weight(t, path=path, prediction=prediction, weighting=weighting)
    if t.ndim != 1 or t.shape[0] != len(x1):
        raise ShapeError(f"expected one time per sample, got t {tuple(t.shape)} for {len(x1)} samples")

    def squared_error(t: Tensor, output: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
        _, d_alpha, sigma, d_sigma = path.coefficients(t)
        match prediction:
            case "velocity":
                error = output - (d_alpha * x1 + d_sigma * x0)
            case "noise":
                error = output - x0
            case "score":
                error = sigma * output + x0
            case "data":
                error = output - x1
        return error.square()

    errors = map_latents(squared_error, t, *(as_float32(latents) for latents in (output, x1, x0)))
    means = errors.flatten(1).mean(1) if isinstance(errors, Tensor) else torch.stack([e.mean() for e in errors])
    return weight.to(means) * means


def loss_weight(t: Tensor, *, path: Path, prediction: Prediction, weighting: Weighting) -> Tensor:
    """The factor on each sample's unweighted loss.

    Errors at one x_t are proportional: with W = alpha' sigma - alpha sigma', velocity = (W / alpha) noise
    = (W / sigma) data, and score = noise / sigma.

    Args:
        t: Times in [0, 1], (B,).
        path: The path.
        prediction: What the model predicts.
        weighting: How sample losses are weighted over t.

    Returns:
        (B,) float32, >= 0.

    Raises:
        ConfigError: The prediction or the weighting is unknown.
    """
    for value, known, what in ((prediction, Prediction, "prediction"), (weighting, Weighting, "weighting")):
        if value not in get_args(known):
            raise ConfigError(f"unknown {what} {value!r}; use one of: {', '.join(get_args(known))}")
    t = as_time(t)
    if weighting == "none":
        return torch.ones_like(t)
    alpha, _, sigma, _ = path.coefficients(t)
    determinant = path.determinant(t)
    match prediction:
        case "velocity":
            to_velocity = torch.ones_like(t)
        case "noise" | "score":
            to_velocity = (determinant / alpha).square()
        case "data":
            to_velocity = (determinant / sigma).square()
    return to_velocity if weighting == "velocity" else to_velocity * alpha / (sigma * determinant)
