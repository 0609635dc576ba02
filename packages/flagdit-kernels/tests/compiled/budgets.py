"""The committed budgets: what they are of, and what breaks one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flagdit_kernels import OPERATORS

from .absent_gpu import CHIPS, absent_gpu
from .operators import SIZES, run
from .report import Report, report

BUDGETS = Path(__file__).with_name("budgets.json")
Budget = dict[str, Any]
# bfloat16 at every size, float32 at one; float16, whose instructions differ from bfloat16's in a letter, on one chip.
DTYPES = {torch.bfloat16: (SIZES, CHIPS), torch.float32: ((96,), CHIPS), torch.float16: ((96,), ("sm_90",))}


@dataclass(frozen=True, kw_only=True)
class Case:
    """An operator, forward and backward, at a size and dtype on a chip."""

    operator: str
    head_dim: int
    dtype: torch.dtype
    chip: str

    def __str__(self) -> str:
        """The case's name in the budgets and among the tests: operator, width, dtype and chip."""
        size = SIZES[self.head_dim]
        width = size.feed_forward if self.operator == "swiglu" else size.width
        width = self.head_dim if "attention" in self.operator else width
        return f"{self.operator} {width} {str(self.dtype).removeprefix('torch.')} {self.chip}"

    def measure(self, folder: Path) -> dict[str, Report]:
        """A report of every kernel compiled, by the operator that launched it and the kernel's name."""
        with absent_gpu(self.chip, folder) as compiled:
            run(self.operator, SIZES[self.head_dim], self.dtype)
        found: dict[str, Report] = {}
        for kernel in compiled:
            name = f"{kernel.operator}.{kernel.name.strip('_')}"
            while name in found:  # the same kernel again, compiled for other constants
                name += "+"
            found[name] = report(kernel)
        return found


CASES = [
    Case(operator=operator, head_dim=head_dim, dtype=dtype, chip=chip)
    for operator, has_triton in OPERATORS.items()
    if has_triton
    for dtype, (head_dims, chips) in DTYPES.items()
    for head_dim in head_dims
    for chip in chips
]


def read() -> dict[str, Any]:
    """The committed file: ``{"triton": version, "budgets": {case: {kernel: budget}}}``."""
    content: dict[str, Any] = json.loads(BUDGETS.read_text())
    return content


def budget_of(found: Report) -> Budget:
    """The budget that a report just meets, its registers rounded up to the eight that hardware hands out at a time."""
    return {
        "registers": -(-found.registers // 8) * 8,
        "spill_bytes": found.spill_bytes,
        "shared_bytes": found.shared_bytes,
        "matrix": found.matrix,
        "wide_loads": found.wide_loads,
    }


def excess(found: Report, budget: Budget) -> list[str]:
    """In words, all that a kernel does worse than its budget."""
    worse = [
        f"{field} {getattr(found, field)}, budget {budget[field]}"
        for field in ("registers", "spill_bytes", "shared_bytes")
        if getattr(found, field) > budget[field]
    ]
    if found.matrix != budget["matrix"]:
        worse.append(f"matrix instructions {found.matrix or 'none'}, budget {budget['matrix'] or 'none'}")
    if budget["wide_loads"] and not found.wide_loads:
        worse.append("no load of 16 bytes")
    if budget["spill_bytes"] and not budget.get("why"):
        worse.append(f"spills {found.spill_bytes} bytes and the budget gives no reason in 'why'")
    return [*worse, *found.failures]
