"""Conversions between what a network may predict: velocity, noise x0, data x1 and score.

At one (x, t) the four are affine in one another, since x = alpha x1 + sigma x0 and v = alpha' x1 + sigma' x0, whose
determinant is W = alpha' sigma - alpha sigma'; the score is -x0 / sigma (SiT, Ma et al. 2024, arXiv 2401.08740).
"""

from typing import Literal, get_args

from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.flow.latents import map_latents
from flagdit_core.flow.paths import Path
from flagdit_core.layout import Latents

Prediction = Literal["velocity", "score", "noise", "data"]


def velocity_from(prediction: Prediction, output: Latents, x: Latents, t: Tensor | float, path: Path) -> Latents:
    """The velocity that a network's output stands for.

    velocity = (alpha' x - W x0) / alpha = (sigma' x + W x1) / sigma.

    Args:
        prediction: What the output is.
        output: The network's output at (x, t), a batch (B, C, ...) or a list of items (C, ...).
        x: The state, in the same form and shapes.
        t: Time, scalar or (B,). From noise or score alpha(t) > 0 is needed, from data sigma(t) > 0.
        path: The path that the network was trained on.

    Returns:
        The velocity, in the form and dtype of ``output``.

    Raises:
        ConfigError: The prediction is unknown.
        ShapeError: Shapes or numbers differ.

    Example:
        >>> import torch
        >>> from flagdit_core.flow.paths import LinearPath
        >>> x0, x1 = torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> velocity_from("data", x1, 0.5 * x0 + 0.5 * x1, 0.5, LinearPath())
        tensor([[2.]])
    """

    def convert(t: Tensor, output: Tensor, x: Tensor) -> Tensor:
        if prediction == "velocity":
            return output
        alpha, d_alpha, sigma, d_sigma = path.coefficients(t)
        determinant = path.determinant(t)
        if prediction == "data":
            return (d_sigma * x + determinant * output) / sigma
        return (d_alpha * x - determinant * _noise(prediction, output, x, t, path)) / alpha

    _check(prediction)
    return map_latents(convert, t, output, x)


def noise_from(prediction: Prediction, output: Latents, x: Latents, t: Tensor | float, path: Path) -> Latents:
    """The noise x0 that a network's output stands for.

    noise = (alpha' x - alpha v) / W = -sigma score = (x - alpha x1) / sigma.

    Args:
        prediction: What the output is.
        output: The network's output at (x, t), a batch (B, C, ...) or a list of items (C, ...).
        x: The state, in the same form and shapes.
        t: Time, scalar or (B,). From data sigma(t) > 0 is needed.
        path: The path that the network was trained on.

    Returns:
        The noise, in the form and dtype of ``output``.

    Raises:
        ConfigError: The prediction is unknown.
        ShapeError: Shapes or numbers differ.
    """
    _check(prediction)
    return map_latents(lambda t, output, x: _noise(prediction, output, x, t, path), t, output, x)


def score_from(prediction: Prediction, output: Latents, x: Latents, t: Tensor | float, path: Path) -> Latents:
    """The score, the gradient of log p_t(x), that a network's output stands for: -x0 / sigma.

    Args:
        prediction: What the output is.
        output: The network's output at (x, t), a batch (B, C, ...) or a list of items (C, ...).
        x: The state, in the same form and shapes.
        t: Time, scalar or (B,), with sigma(t) > 0 (t < 1).
        path: The path that the network was trained on.

    Returns:
        The score, in the form and dtype of ``output``.

    Raises:
        ConfigError: The prediction is unknown.
        ShapeError: Shapes or numbers differ.
    """

    def convert(t: Tensor, output: Tensor, x: Tensor) -> Tensor:
        if prediction == "score":
            return output
        return -_noise(prediction, output, x, t, path) / path.coefficients(t).sigma

    _check(prediction)
    return map_latents(convert, t, output, x)


def data_from(prediction: Prediction, output: Latents, x: Latents, t: Tensor | float, path: Path) -> Latents:
    """The data x1 that a network's output stands for: (sigma v - sigma' x) / W = (x - sigma x0) / alpha.

    From the score this is Tweedie's formula.

    Args:
        prediction: What the output is.
        output: The network's output at (x, t), a batch (B, C, ...) or a list of items (C, ...).
        x: The state, in the same form and shapes.
        t: Time, scalar or (B,). From noise or score alpha(t) > 0 is needed.
        path: The path that the network was trained on.

    Returns:
        The data, in the form and dtype of ``output``.

    Raises:
        ConfigError: The prediction is unknown.
        ShapeError: Shapes or numbers differ.
    """

    def convert(t: Tensor, output: Tensor, x: Tensor) -> Tensor:
        if prediction == "data":
            return output
        alpha, _, sigma, d_sigma = path.coefficients(t)
        if prediction == "velocity":
            return (sigma * output - d_sigma * x) / path.determinant(t)
        return (x - sigma * _noise(prediction, output, x, t, path)) / alpha

    _check(prediction)
    return map_latents(convert, t, output, x)


def score_drift(x: Latents, t: Tensor | float, path: Path) -> tuple[Latents, Tensor]:
    """The two terms of velocity = mean + variance * score.

    Args:
        x: The state, a batch (B, C, ...) or a list of items (C, ...).
        t: Time, scalar or (B,), with alpha(t) > 0 and sigma(t) > 0.
        path: The path.

    Returns:
        mean = (alpha' / alpha) x in the form of x, and variance = sigma W / alpha of the shape of t: half the squared
        diffusion coefficient of the forward process (the "SBDM" diffusion).
    """

    def mean(t: Tensor, x: Tensor) -> Tensor:
        alpha, d_alpha, _, _ = path.coefficients(t)
        return d_alpha / alpha * x

    alpha, _, sigma, _ = path.coefficients(t)
    return map_latents(mean, t, x), sigma * path.determinant(t) / alpha


def _noise(prediction: Prediction, output: Tensor, x: Tensor, t: Tensor, path: Path) -> Tensor:
    alpha, d_alpha, sigma, _ = path.coefficients(t)
    match prediction:
        case "velocity":
            return (d_alpha * x - alpha * output) / path.determinant(t)
        case "score":
            return -sigma * output
        case "noise":
            return output
        case "data":
            return (x - alpha * output) / sigma


def _check(prediction: str) -> None:
    if prediction not in get_args(Prediction):
        raise ConfigError(f"unknown prediction {prediction!r}; use one of: {', '.join(get_args(Prediction))}")
