"""The suite ``operators``: every operator, forward and both ways, at every size, beside its peers."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch

from flagdit_kernels.backends import explain
from flagdit_kernels.bench.calls import both_ways, forward, gate
from flagdit_kernels.bench.case import Case, Conditions, Trial
from flagdit_kernels.bench.operators import OPERATORS, Operator, Shape
from flagdit_kernels.bench.shapes import gpu_shapes

DTYPE = torch.bfloat16


def operators(conditions: Conditions) -> Iterator[Case]:
    """The cases.

    Args:
        conditions: Device and sizes.

    Yields:
        For each width each operator, forward without gradients at all lengths, then both ways.
    """
    for shapes, operator in product(gpu_shapes(quick=conditions.quick), OPERATORS):
        torch.compiler.reset()  # graphs of other widths would count against the limit of recompilations
        for direction, shape in product(("forward", "forward+backward"), shapes):
            backward = direction != "forward"
            yield Case(
                name=operator.name,
                settings={"shape": shape.name, "dtype": "bfloat16", "direction": direction},
                implementations=("flagdit", *operator.peers, *operator.built),
                work=operator.work(shape, DTYPE, backward=backward),
                prepare=partial(_prepare, operator, shape, conditions.device, backward=backward),
            )


def _prepare(operator: Operator, shape: Shape, device: torch.device, *, backward: bool) -> Callable[[str], Trial]:
    """Arguments, drawn once, and what makes the trials on them."""
    arguments = operator.arguments(shape, DTYPE, device)

    def trial(name: str) -> Trial:
        implementation = operator.implementation(name, arguments)
        return Trial(
            call=partial(both_ways if backward else forward, implementation, arguments),
            gate=partial(gate, operator, name, implementation, arguments, shape, DTYPE, backward=backward),
            backend=explain(operator.name, device)[operator.name]["backend"] if name == "flagdit" else None,
        )

    return trial
