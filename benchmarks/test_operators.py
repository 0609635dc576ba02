"""Every operator beside its peers, and what the machine could do at best."""

from functools import partial

import pytest
import torch

from benchmarks.runner import Runner
from flagdit_kernels.bench import check_close
from flagdit_kernels.bench.calls import both_ways, forward, gate
from flagdit_kernels.bench.operators import OPERATORS, Operator, Shape
from flagdit_kernels.bench.shapes import CPU_SHAPES

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_COPIED = 2**26
_SIDE = 1536


@pytest.mark.parametrize("direction", ["forward", "forward+backward"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", CPU_SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize(
    ("operator", "name"),
    [
        pytest.param(operator, name, id=f"{operator.name}-{name}")
        for operator in OPERATORS
        for name in ("flagdit", *operator.peers)
    ],
)
def test_operator(measure: Runner, operator: Operator, name: str, shape: Shape, dtype: str, direction: str) -> None:
    """Time an operator, forward alone without gradients or both ways, once it agrees with its first peer in float64."""
    backward = direction != "forward"
    arguments = operator.arguments(shape, DTYPES[dtype])
    implementation = operator.implementation(name, arguments)
    measure(
        operator.name,
        partial(both_ways if backward else forward, implementation, arguments),
        gate=partial(gate, operator, name, implementation, arguments, shape, DTYPES[dtype], backward=backward),
        implementation=name,
        settings={"shape": shape.name, "dtype": dtype, "direction": direction},
        work=operator.work(shape, DTYPES[dtype], backward=backward),
    )


def test_copy_ceiling(measure: Runner) -> None:
    """Bytes a second of a copy that no cache holds."""
    source, target = torch.randn(_COPIED), torch.zeros(_COPIED)

    def same() -> None:
        assert torch.equal(target.copy_(source), source)

    traffic = source.nbytes + target.nbytes
    measure("copy", lambda: target.copy_(source), gate=same, settings={"dtype": "float32"}, work={"bytes": traffic})


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_ceiling(measure: Runner, dtype: str) -> None:
    """Operations a second of a large matrix product."""
    torch.manual_seed(0)
    a, b = (torch.randn(_SIDE, _SIDE).to(DTYPES[dtype]) for _ in range(2))

    def exact() -> None:
        check_close(a @ b, a.double() @ b.double(), DTYPES[dtype], "matmul")

    measure("matmul", lambda: a @ b, gate=exact, settings={"dtype": dtype}, work={"flops": 2 * _SIDE**3})
