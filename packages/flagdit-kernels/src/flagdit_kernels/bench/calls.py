"""An operator's call, forward or both ways, and the gate that holds it to float64 at the size that is timed.

The gradients are those of half the sum of the outputs' squares: the outputs are their own upstream gradients. Exact
results come row by row in float64, all rows in turn where a row depends on nothing but itself and its segment. Where
all pairs of tokens meet, some rows are enough: with the upstream gradient of these rows alone, the gradients of keys
and values are exact sums over them, for every key.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from flagdit_kernels.bench.gate import Discrepancy
from flagdit_kernels.bench.operators import Arguments, Operator, Outputs, Shape

# PyTorch sums the gradients of LayerNorm's weight and bias in bfloat16 on a CPU, and is off by up to a fifth.
PEER_FACTOR = 15.0
_ROW_VALUES = 2**26  # of the widest argument, in float64 at a time
_PAIRS = 2**22  # of tokens, up to which all of them are looked at
_NEIGHBOURS = 8  # rows looked at on each side of a segment's bound


@torch.no_grad()
def forward(implementation: Callable[..., Outputs], arguments: Arguments) -> tuple[Tensor, ...]:
    """The outputs."""
    return _as_tuple(implementation(**arguments))


def both_ways(
    implementation: Callable[..., Outputs], arguments: Arguments, rows: Sequence[slice] | None = None
) -> tuple[Tensor, ...]:
    """The outputs, and the gradients of half the sum of their squares in all arguments that have one.

    Args:
        implementation: Of the operator.
        arguments: Its own.
        rows: Whose squares; None for all.

    Returns:
        Outputs, then gradients in the order of the arguments.
    """
    outputs = _as_tuple(implementation(**arguments))
    upstream = [output.detach() if rows is None else _only(output.detach(), rows) for output in outputs]
    leaves = [arguments[name] for name in _leaves(arguments)]
    return *outputs, *torch.autograd.grad(outputs, leaves, upstream)


def gate(
    operator: Operator,
    name: str,
    implementation: Callable[..., Outputs],
    arguments: Arguments,
    shape: Shape,
    dtype: torch.dtype,
    *,
    backward: bool,
) -> None:
    """Raise unless an implementation gives what the operator's first peer gives in float64.

    Args:
        operator: What is computed.
        name: Of the implementation; ours is held to the tolerance itself, a peer to `PEER_FACTOR` times it.
        implementation: What `Operator.implementation` gave for that name.
        arguments: What it is called with.
        shape: Their sizes.
        dtype: Their dtype.
        backward: Whether the gradients are computed too.

    Raises:
        RedGateError: An output or a gradient is off.
    """
    rows = _rows(operator, arguments, shape)
    results = both_ways(implementation, arguments, rows) if backward else forward(implementation, arguments)
    found = _named(results, arguments, backward=backward)
    of_tokens = {what for what in found if what.startswith("output")} | {_gradient(n) for n in operator.per_token}
    discrepancies = {what: Discrepancy() for what in found}
    sums: dict[str, Tensor] = {}
    for piece in rows:
        for what, expected in _exact(operator, arguments, piece, backward=backward).items():
            if what in of_tokens:
                discrepancies[what].add(found[what][piece], expected)
            else:
                sums[what] = sums[what] + expected if what in sums else expected
    for what, expected in sums.items():
        discrepancies[what].add(found[what], expected)
    for what in found.keys() & {_gradient(name) for name in operator.per_token}:
        elsewhere = found[what] - _only(found[what], rows)
        discrepancies[what].add(elsewhere, torch.zeros_like(elsewhere))
    factor = 1.0 if name == "flagdit" else PEER_FACTOR
    for what, discrepancy in discrepancies.items():
        discrepancy.check(dtype, f"{operator.name}, {name}, {what}", factor=factor)


def _rows(operator: Operator, arguments: Arguments, shape: Shape) -> list[slice]:
    """Those to look at: all of them, or around the segments' bounds and in the middle where all pairs meet."""
    if operator.of_rows is None:
        step = max(1, _ROW_VALUES // max(arguments[name][0].numel() for name in operator.per_token))
        return [slice(first, min(first + step, shape.tokens)) for first in range(0, shape.tokens, step)]
    if shape.tokens * max(shape.lengths) <= _PAIRS:
        return [slice(0, shape.tokens)]
    bounds = [0, *accumulate(shape.lengths), shape.tokens // 2]
    near = {row for bound in bounds for row in range(bound - _NEIGHBOURS, bound + _NEIGHBOURS)}
    chosen = sorted(row for row in near if 0 <= row < shape.tokens)
    breaks = [0, *(index for index in range(1, len(chosen)) if chosen[index] > chosen[index - 1] + 1), len(chosen)]
    return [slice(chosen[first], chosen[last - 1] + 1) for first, last in pairwise(breaks)]


def _exact(operator: Operator, arguments: Arguments, rows: slice, *, backward: bool) -> dict[str, Tensor]:
    """Outputs of some rows in float64, and the gradients that come from them."""
    pieces, leaves = dict(arguments), _leaves(arguments)
    for name, value in arguments.items():
        if name in operator.per_token:
            pieces[name] = value[rows]
        if isinstance(value, Tensor) and value.is_floating_point():
            pieces[name] = pieces[name].detach().double().requires_grad_(backward and name in leaves)
    exact: Callable[..., Outputs] = next(iter(operator.peers.values()))
    if operator.of_rows is not None:
        exact = partial(operator.of_rows, rows=rows)
    elif "cu_seqlens" in pieces:
        pieces["cu_seqlens"] = (pieces["cu_seqlens"] - rows.start).clamp(0, rows.stop - rows.start)
        pieces["max_seqlen"] = int(pieces["cu_seqlens"].diff().max())
    results = both_ways(exact, pieces) if backward else forward(exact, pieces)
    return _named(results, arguments, backward=backward)


def _named(results: tuple[Tensor, ...], arguments: Arguments, *, backward: bool) -> dict[str, Tensor]:
    """What `both_ways` or `forward` gave, by what it is."""
    gradients = [_gradient(name) for name in _leaves(arguments)] if backward else []
    outputs = [f"output {index}" for index in range(len(results) - len(gradients))]
    return dict(zip([*outputs, *gradients], results, strict=True))


def _gradient(name: str) -> str:
    return f"gradient of {name}"


def _leaves(arguments: Arguments) -> list[str]:
    return [name for name, value in arguments.items() if isinstance(value, Tensor) and value.requires_grad]


def _only(x_LX: Tensor, rows: Sequence[slice]) -> Tensor:
    """The tensor with zeros in all other rows."""
    kept = torch.zeros_like(x_LX)
    for piece in rows:
        kept[piece] = x_LX[piece]
    return kept


def _as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
