"""What the device can do at best: a copy that no cache holds, and a large matrix product."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from flagdit_kernels.bench.case import Case, Conditions, Trial
from flagdit_kernels.bench.gate import RedGateError, check_close


def ceilings(conditions: Conditions, dtype: torch.dtype) -> Iterator[Case]:
    """The cases that every suite begins with, so that its rates have something to be held against in the same run.

    Args:
        conditions: Device and sizes.
        dtype: Of the matrix product.

    Yields:
        The copy and the product.
    """
    numel, side = (2**16, 64) if conditions.quick else (2**30, 8192)
    ours = ("flagdit",)  # there are no peers
    yield Case(
        name="copy",
        settings={"dtype": "bfloat16"},
        implementations=ours,
        work={"bytes": 2 * numel * torch.bfloat16.itemsize},
        prepare=partial(_copy, numel, conditions.device),
    )
    yield Case(
        name="matmul",
        settings={"dtype": str(dtype).removeprefix("torch.")},
        implementations=ours,
        work={"flops": 2 * side**3},
        prepare=partial(_matmul, side, dtype, conditions.device),
    )


def _copy(numel: int, device: torch.device) -> Callable[[str], Trial]:
    source = torch.randn(numel, dtype=torch.bfloat16, device=device)
    target = torch.zeros_like(source)

    def gate() -> None:
        if not torch.equal(target.copy_(source), source):
            raise RedGateError("the copy differs from its source: no number")

    return lambda _: Trial(call=lambda: target.copy_(source), gate=gate)


def _matmul(side: int, dtype: torch.dtype, device: torch.device) -> Callable[[str], Trial]:
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def product() -> Tensor:
        return a @ b

    def gate() -> None:
        rows = slice(0, 64)
        check_close(product()[rows], a[rows].double() @ b.double(), dtype, "matmul")

    return lambda _: Trial(call=product, gate=gate)
