"""How far a result may be from the one it is held to before it is timed."""

import torch
from torch import Tensor

# Norm of the error over that of the value. bfloat16 has 8 bits, and its inputs, intermediates and outputs are rounded.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def check_close(found: Tensor, expected: Tensor, dtype: torch.dtype, what: str, *, factor: float = 1.0) -> None:
    """Raise unless a tensor is what it should be.

    Args:
        found: Of any dtype.
        expected: Of the same shape, more precise.
        dtype: What ``found`` was computed in; names the row of the table.
        what: For the message.
        factor: On the tolerance, where errors add up over many layers.

    Raises:
        AssertionError: It is not, or not finite.
    """
    error = (found.double() - expected.double()).norm() / expected.double().norm()
    assert error <= factor * TOLERANCE[dtype], f"{what}: relative error {error:.2g} in {dtype}: no number"
