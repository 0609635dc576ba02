"""How far an operator may be from float64, as the norm of the error over that of the value. One table for all tests.

Half precision rounds inputs of a softmax, an output and an intermediate or two, each by up to half a unit in the last
place.
"""

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def assert_close(found: Tensor, expected: Tensor, dtype: torch.dtype, name: str, factor: float = 1.0) -> None:
    """Fail unless the relative error is within the table's row for a dtype; nothing may be NaN or missing."""
    assert found.shape == expected.shape, f"{name}: shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    if not expected.numel():
        return
    error = (found.double().cpu() - expected.cpu()).norm()
    limit = factor * TOLERANCE[dtype] * expected.norm().cpu() + 1e-30
    assert error <= limit, f"{name}: error {error:.3g} over the limit {limit:.3g}"
