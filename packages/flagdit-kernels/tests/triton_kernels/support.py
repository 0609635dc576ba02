"""What the tests of all kernels share: where they run, what they are drawn from, what they are held to."""

import os

import torch
from torch import Tensor

from ..cases import LAYOUTS, Layout
from ..tolerances import assert_close

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILED_LAYOUTS = LAYOUTS | {"several tiles": Layout(lengths=(33, 0, 70, 1))}


def draw(*shape: int, dtype: torch.dtype, seed: int, padding: int = 3) -> Tensor:
    """Normal values, rows further apart than they are wide."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randn(*shape[:-1], shape[-1] + padding, generator=generator)
    return wide.to(DEVICE, dtype)[..., : shape[-1]]


def exactly(value: Tensor) -> Tensor:
    """The same values in float64 on the CPU."""
    return value.double().cpu()


def assert_no_worse(found: Tensor, plain: Tensor, exact: Tensor, name: str, factor: float = 2.0) -> None:
    """Fail unless a kernel's error is at most ``factor`` times that of plain PyTorch in the same dtype."""
    assert_close(found, exact, found.dtype, name)
    error, plain_error = ((value.double().cpu() - exact).norm() for value in (found, plain))
    # Where plain PyTorch happens to be exact, half a unit in the last place of the output remains.
    limit = factor * plain_error + torch.finfo(found.dtype).eps / 2 * exact.norm()
    assert error <= limit, f"{name}: error {error:.3g}, plain PyTorch's is {plain_error:.3g}"
