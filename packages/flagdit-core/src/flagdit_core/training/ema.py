"""An exponential moving average of the weights, which is what gets sampled from and published."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    r"""The average :math:`\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta`.

    The decay of update n is ``min(decay, (1 + n) / (10 + n))``, so that the random start is soon forgotten.

    Args:
        named_parameters: What to average; the average starts as a float32 copy.
        decay: In [0, 1).
    """

    def __init__(self, named_parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self._live = {name: parameter for name, parameter in named_parameters if parameter.requires_grad}
        self.average = {name: parameter.detach().float().clone() for name, parameter in self._live.items()}

    def decay_at(self, step: int) -> float:
        """The decay of update number ``step``, counted from 0."""
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights.

        Args:
            step: Number of this update, counted from 0.
        """
        live = [parameter.detach().float() for parameter in self._live.values()]
        torch._foreach_lerp_(list(self.average.values()), live, 1.0 - self.decay_at(step))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the modules hold the averaged weights; afterwards the trained ones again, bit by bit."""
        trained = {name: parameter.detach().clone() for name, parameter in self._live.items()}
        self._write(self.average)
        try:
            yield
        finally:
            self._write(trained)

    @torch.no_grad()
    def _write(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])
