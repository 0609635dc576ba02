"""Learning from what a network made itself and how good that is."""

import torch
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.flow.latents import as_time, map_latents
from flagdit_core.flow.losses import LINEAR, loss_weight, prediction_loss
from flagdit_core.flow.paths import Path
from flagdit_core.flow.predictions import Prediction
from flagdit_core.layout import Latents

_LEAST_ERROR = 1e-12


def reward_loss(
    output: Latents,
    reference: Latents,
    x1: Latents,
    x0: Latents,
    t: Tensor,
    rewards: Tensor,
    *,
    strength: float = 1.0,
    path: Path = LINEAR,
    prediction: Prediction = "velocity",
) -> Tensor:
    r"""The loss of DiffusionNFT (Zheng et al. 2025, arXiv 2509.16117), which needs no likelihoods and no trajectories.

    With the prediction v of the network that is trained, :math:`v_{old}` of the one that made the data, and the target
    :math:`v^*` of flow matching,

    .. math::
        r \, \|v_{old} + \beta (v - v_{old}) - v^*\|^2 + (1 - r) \, \|v_{old} - \beta (v - v_{old}) - v^*\|^2,

    whose minimum is at :math:`v_{old} + (2 r - 1) (v^* - v_{old}) / \beta`: towards what is good, away from what is
    not, and where it was for r = 1/2. Each of the two errors is then measured on the data that is predicted, and its
    square divided by its root, the square's gradient kept, so that all times count alike: that scales the step that is
    taken from v_old, not its direction. (The paper divides by the mean absolute error.)

    Args:
        output: What the network predicted, in the form of x1; gradients flow here only.
        reference: What the network that made x1 predicted at the same x_t and t.
        x1: What was made, a batch (B, C, ...) or a list of B items (C, ...).
        x0: Noise, in the same form and shapes.
        t: Times in [0, 1), (B,) float32.
        rewards: (B,) in [0, 1]; 1/2 is as good as the others of its prompt.
        strength: The paper's beta, above 0; less is a larger change for the same rewards.
        path: The path.
        prediction: What the network predicts.

    Returns:
        (B,) float32.

    Raises:
        ConfigError: The strength is not above 0, or the prediction is unknown.
        ShapeError: Shapes differ, or t or the rewards are not (B,).

    Example:
        >>> x1, x0, t = torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([0.5])
        >>> reward_loss(x1, torch.zeros(1, 2), x1, x0, t, torch.tensor([1.0]))  # all the way to what is good
        tensor([0.])
    """
    if not strength > 0:
        raise ConfigError(f"strength must be above 0, got {strength}")
    if rewards.shape != (len(x1),):
        raise ShapeError(f"expected one reward per sample, got {tuple(rewards.shape)} for {len(x1)} samples")

    def error(sign: float) -> Tensor:
        """Of the data that one of the two branches predicts: its root mean square, with the square's gradient."""
        branch = map_latents(
            lambda _, output, reference: torch.lerp(reference.float(), output.float(), sign * strength),
            t,
            output,
            reference,
        )
        square = prediction_loss(branch, x1, x0, t, path=path, prediction=prediction)
        return square / square.detach().clamp_min(_LEAST_ERROR).sqrt()

    rewards = rewards.to(t)
    scale = _to_data(t, path, prediction)
    return scale * (rewards * error(1.0) + (1 - rewards) * error(-1.0))


def _to_data(t: Tensor, path: Path, prediction: Prediction) -> Tensor:
    """How large an error of the data an error 1 of the prediction is, (B,)."""
    sigma = path.coefficients(as_time(t)).sigma
    to_velocity = loss_weight(t, path=path, prediction=prediction, weighting="velocity").sqrt()
    return to_velocity * sigma / path.determinant(t)
