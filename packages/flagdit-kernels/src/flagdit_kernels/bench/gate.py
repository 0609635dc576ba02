"""How far a result may be from the one it is held to before it is timed."""

import torch
from torch import Tensor

_VALUES = 2**26  # compared at a time, in float64
# Norm of the error over that of the value. bfloat16 has 8 bits, and its inputs, intermediates and outputs are rounded.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2}


class RedGateError(AssertionError):
    """A result is not what it should be: it is not timed."""


class Discrepancy:
    """The error of a result that is compared piece by piece."""

    def __init__(self) -> None:
        self._error = self._norm = 0.0

    def add(self, found: Tensor, expected: Tensor) -> None:
        """Compare a piece with what it should be, of the same shape and more precise, where the piece is."""
        if found.shape != expected.shape:
            raise RedGateError(f"shape {tuple(found.shape)}, expected {tuple(expected.shape)}: no number")
        for some, due in zip(*(values.detach().flatten().split(_VALUES) for values in (found, expected)), strict=True):
            exact = due.to(some.device).double()
            self._error += (some.double() - exact).square().sum().item()
            self._norm += exact.square().sum().item()

    def check(self, dtype: torch.dtype, what: str, *, factor: float = 1.0) -> None:
        """Raise unless the pieces, taken together, are what they should be.

        Args:
            dtype: What was computed in; names the row of the table.
            what: For the message.
            factor: On the tolerance.

        Raises:
            RedGateError: They are not, or not finite.
        """
        if not self._error <= (factor * TOLERANCE[dtype]) ** 2 * self._norm:  # not finite is red too
            relative = (self._error / self._norm) ** 0.5 if self._norm else float("inf")
            raise RedGateError(f"{what}: relative error {relative:.2g} in {dtype}: no number")


def check_close(found: Tensor, expected: Tensor, dtype: torch.dtype, what: str, *, factor: float = 1.0) -> None:
    """Raise unless a tensor is what it should be.

    Args:
        found: Of any dtype.
        expected: Of the same shape, more precise.
        dtype: What ``found`` was computed in; names the row of the table.
        what: For the message.
        factor: On the tolerance, where errors add up over many layers.

    Raises:
        RedGateError: It is not, or not finite.
    """
    discrepancy = Discrepancy()
    discrepancy.add(found, expected)
    discrepancy.check(dtype, what, factor=factor)
