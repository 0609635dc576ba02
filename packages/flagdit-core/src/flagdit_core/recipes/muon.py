"""Muon for convolution kernels: momentum, made orthogonal before it is applied.

Muon: K. Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks". The scale that lets it share
AdamW's learning rates: J. Liu et al., 2025, "Muon is Scalable for LLM Training" (arXiv:2502.16982).
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd quintic that pushes singular values towards 1, from Jordan et al."""
ADAM_RMS = 0.2
"""Root mean square of AdamW's usual updates, from Liu et al."""


def orthogonalise(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: singular values come out between about 0.7 and 1.2.

    Args:
        matrix: (M, N), floating point, not all zero.
        steps: Newton-Schulz iterations.

    Returns:
        (M, N) in the dtype of ``matrix``; computed in bfloat16.
    """
    a, b, c = NEWTON_SCHULZ
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.mT).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x if wide else x.mT
    return result.to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Muon over kernels, each seen as a matrix (out, in x height x width), with Nesterov momentum.

    A kernel moves by ``lr * 0.2 * sqrt(max(M, N))`` times the orthogonal momentum, whose entries then have a root mean
    square of about 0.2 lr, as AdamW's have.

    Args:
        params: Kernels of two or more dimensions.
        lr: Learning rate, on AdamW's scale.
        momentum: Of the gradient's moving average.
        weight_decay: Decoupled, as AdamW's.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every kernel that has a gradient; ``closure`` is evaluated first where one is given."""
        loss = closure() if closure else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """One kernel's step."""
        gradient = parameter.grad
        assert gradient is not None
        average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
        average.lerp_(gradient, 1 - group["momentum"])
        matrix = gradient.lerp(average, group["momentum"]).flatten(1)
        scale = ADAM_RMS * max(matrix.shape) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(orthogonalise(matrix).view_as(parameter), alpha=-group["lr"] * scale)
