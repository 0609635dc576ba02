"""What the tests of all kernels share: where they run, what they are drawn from, what they are held to."""

import os

import torch
from torch import Tensor

from flagdit_kernels.configs import config

from ..cases import LAYOUTS, Layout
from ..tolerances import assert_close

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILED_LAYOUTS = LAYOUTS | {"several tiles": Layout(lengths=(33, 0, 70, 1))}

ROW_LAYOUTS = TILED_LAYOUTS | {"no tokens": Layout(lengths=(0, 0))}
# For kernels that walk rows: blocks of two rows, the last of a tile not full, and more tiles than segments.
FEW_ROWS = config(ROWS=2, NUM_STAGES=2, PROGRAMS=7, num_warps=4)


def draw(*shape: int, dtype: torch.dtype, seed: int, padding: int = 3) -> Tensor:
    """Normal values, rows further apart than they are wide."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randn(*shape[:-1], shape[-1] + padding, generator=generator)
    return wide.to(DEVICE, dtype)[..., : shape[-1]]


def rows_past_two_to_the_31(width: int) -> Tensor:
    """Three rows in bfloat16, the last of which begins at element 2**31; the memory between them is only virtual."""
    stride = 2**30
    x = torch.empty(2 * stride + width, dtype=torch.bfloat16, device=DEVICE).as_strided((3, width), (stride, 1))
    for row in range(3):
        x[row] = torch.arange(width) + row
    return x


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
