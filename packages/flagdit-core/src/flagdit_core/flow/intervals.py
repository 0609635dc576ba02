"""Times between which a path and a prediction are finite, for training and for sampling."""

import math
from typing import Final

from flagdit_core.errors import ConfigError
from flagdit_core.flow.paths import Path
from flagdit_core.flow.predictions import Prediction

SAMPLING_EPS: Final = 1e-3
TRAINING_EPS_OF_DIFFUSION: Final = 1e-5


def interval(
    path: Path, prediction: Prediction, *, eps: float | None = None, training: bool = False
) -> tuple[float, float]:
    """(first, last) time for training or for an ODE sampler.

    Args:
        path: The path.
        prediction: What the network predicts.
        eps: Distance in [0, 0.5) to keep from the ends. None stands for the authors' defaults: 0 for velocity on a path
            whose velocity is finite (linear, GVP); otherwise 1e-3, or 1e-5 in training on the VP path. An end that is
            not singular is not moved: VP has alpha(0) > 0 and starts at 0.
        training: The interval is for training.

    Returns:
        Times with 0 <= first < last <= 1.

    Raises:
        ConfigError: eps is out of range.

    Example:
        >>> from flagdit_core.flow.paths import LinearPath
        >>> interval(LinearPath(), "velocity"), interval(LinearPath(), "noise")
        ((0.0, 1.0), (0.001, 0.999))
    """
    finite_velocity = math.isfinite(float(path.coefficients(1.0).d_sigma))
    if eps is None:
        if finite_velocity and prediction == "velocity":
            eps = 0.0
        else:
            eps = TRAINING_EPS_OF_DIFFUSION if training and not finite_velocity else SAMPLING_EPS
    if not 0 <= eps < 0.5:
        raise ConfigError(f"expected eps in [0, 0.5), got {eps}")
    return (eps if float(path.coefficients(0.0).alpha) == 0 else 0.0), 1 - eps
