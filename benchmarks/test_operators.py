"""Every operator beside its peers, and what the machine could do at best."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.gate import check_close
from benchmarks.operators import CPU_SHAPES, OPERATORS, Arguments, Operator, Outputs, Shape
from benchmarks.runner import Runner

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
    run = _forward if direction == "forward" else _both_ways
    arguments = operator.arguments(shape, DTYPES[dtype])
    call = partial(run, operator.implementation(name), arguments)

    def gate() -> None:
        expected = run(next(iter(operator.peers.values())), operator.arguments(shape, torch.float64))
        # PyTorch sums the gradients of LayerNorm's weight and bias in bfloat16, and is off by up to a fifth.
        factor = 1 if name == "flagdit" else 15
        for index, (found, exact) in enumerate(zip(call(), expected, strict=True)):
            check_close(found, exact, DTYPES[dtype], f"{operator.name}, {name}, result {index}", factor=factor)

    measure(
        operator.name,
        call,
        gate=gate,
        implementation=name,
        settings={"shape": shape.name, "dtype": dtype, "direction": direction},
        work=_work(operator, shape, arguments, backward=direction != "forward"),
    )


def test_copy_ceiling(measure: Runner) -> None:
    """Bytes a second of a copy that no cache holds."""
    source, target = torch.randn(_COPIED), torch.zeros(_COPIED)

    def gate() -> None:
        assert torch.equal(target.copy_(source), source)

    traffic = source.nbytes + target.nbytes
    measure("copy", lambda: target.copy_(source), gate=gate, settings={"dtype": "float32"}, work={"bytes": traffic})


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_ceiling(measure: Runner, dtype: str) -> None:
    """Operations a second of a large matrix product."""
    torch.manual_seed(0)
    a, b = (torch.randn(_SIDE, _SIDE).to(DTYPES[dtype]) for _ in range(2))

    def gate() -> None:
        check_close(a @ b, a.double() @ b.double(), DTYPES[dtype], "matmul")

    measure("matmul", lambda: a @ b, gate=gate, settings={"dtype": dtype}, work={"flops": 2 * _SIDE**3})


def _as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _leaves(arguments: Arguments) -> list[Tensor]:
    return [value for value in arguments.values() if isinstance(value, Tensor) and value.requires_grad]


@torch.no_grad()
def _forward(implementation: Callable[..., Outputs], arguments: Arguments) -> tuple[Tensor, ...]:
    return _as_tuple(implementation(**arguments))


def _both_ways(implementation: Callable[..., Outputs], arguments: Arguments) -> tuple[Tensor, ...]:
    """Outputs, and the gradients of half the sum of their squares."""
    outputs = _as_tuple(implementation(**arguments))
    return *outputs, *torch.autograd.grad(outputs, _leaves(arguments), [output.detach() for output in outputs])


def _work(operator: Operator, shape: Shape, arguments: Arguments, *, backward: bool) -> dict[str, int]:
    """Operations of the matrix products, or else the bytes that a fused form must move.

    It reads its inputs and writes its outputs; backward, it reads the inputs and the outputs' gradients, and writes
    the inputs' gradients. The matrix products of attention are two forward, and five more backward.
    """
    if operator.flops is not None:
        forward = operator.flops(shape)
        return {"flops": forward + 5 * forward // 2 if backward else forward}
    read = sum(value.nbytes for value in arguments.values() if isinstance(value, Tensor))
    written = sum(output.nbytes for output in _forward(operator.implementation("flagdit"), arguments))
    return {"bytes": 3 * read + 2 * written if backward else read + written}
