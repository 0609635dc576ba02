"""The benchmarks' registry names every operator, and its gate notices whatever is wrong with an implementation."""

import pytest
import torch

import flagdit_kernels
from flagdit_kernels.bench import RedGateError, calls, check_close, gate
from flagdit_kernels.bench.gate import Discrepancy
from flagdit_kernels.bench.operators import OPERATORS, Operator, Shape
from flagdit_kernels.bench.shapes import gpu_shapes

EQUAL = Shape(name="equal", lengths=(6, 6), heads=2, head_dim=8, ffn=24, text=5)
PACKED = Shape(name="packed", lengths=(5, 1, 9), heads=2, head_dim=8, ffn=24, text=5)
NAMED = {operator.name: operator for operator in OPERATORS}
PLAIN = [(operator, name) for operator in OPERATORS for name in ("flagdit", *operator.peers)]


def run_gate(operator, implementation, shape, *, backward=True, name="flagdit", dtype=torch.float32):
    """Hold an implementation to float64; raises where the gate is red."""
    arguments = operator.arguments(shape, dtype)
    calls.gate(operator, name, implementation, arguments, shape, dtype, backward=backward)


def test_every_operator_is_measured():
    """The registry has each operator of the package once."""
    assert sorted(NAMED) == sorted(flagdit_kernels.OPERATORS)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("shape", [EQUAL, PACKED], ids=lambda shape: shape.name)
@pytest.mark.parametrize(("operator", "name"), PLAIN, ids=lambda value: getattr(value, "name", value))
def test_the_gate_is_green(operator: Operator, name: str, shape: Shape, backward: bool):
    """Ours and the plain peers pass, on equal and on packed segments, forward and both ways."""
    implementation = operator.implementation(name, operator.arguments(shape, torch.float32))
    run_gate(operator, implementation, shape, backward=backward, name=name)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_rows_in_turn_are_as_good_as_all_at_once(operator: Operator, monkeypatch: pytest.MonkeyPatch):
    """Looked at in pieces, or around the bounds alone, the gate stays green; and red where the last token is off."""
    monkeypatch.setattr(calls, "_ROW_VALUES", 150)
    monkeypatch.setattr(calls, "_PAIRS", 0)
    monkeypatch.setattr(calls, "_NEIGHBOURS", 1)
    ours = operator.implementation("flagdit", {})
    arguments = operator.arguments(PACKED, torch.float32)
    rows = calls._rows(operator, arguments, PACKED)
    assert len(rows) > 1 and rows[-1].stop == PACKED.tokens and rows[0].start == 0
    assert sum(piece.stop - piece.start for piece in rows) <= PACKED.tokens
    run_gate(operator, ours, PACKED)

    def off_at_the_end(**arguments):
        outputs = ours(**arguments)
        first, *others = outputs if isinstance(outputs, tuple) else (outputs,)
        first = torch.cat([first[:-1], first[-1:] * 1.01])
        return (first, *others) if others else first

    with pytest.raises(RedGateError, match="output 0"):
        run_gate(operator, off_at_the_end, PACKED)


def test_a_gradient_that_is_off_is_red():
    """Right outputs do not make up for a wrong gradient of one argument."""
    ours = flagdit_kernels.rms_norm_modulate

    def with_half_of_a_gradient(**arguments):
        arguments["weight"] = arguments["weight"].detach() / 2 + arguments["weight"] / 2
        return ours(**arguments)

    run_gate(NAMED["rms_norm_modulate"], with_half_of_a_gradient, PACKED, backward=False)
    with pytest.raises(RedGateError, match="gradient of weight"):
        run_gate(NAMED["rms_norm_modulate"], with_half_of_a_gradient, PACKED)


def test_a_gradient_of_other_tokens_is_red(monkeypatch: pytest.MonkeyPatch):
    """Where only some rows are looked at, the gradient of the others is zero, and anything else is noticed."""
    monkeypatch.setattr(calls, "_PAIRS", 0)
    monkeypatch.setattr(calls, "_NEIGHBOURS", 1)
    shape = Shape(name="long", lengths=(40,), heads=2, head_dim=8, ffn=24, text=5)

    def leaking(q, k, v, cu_seqlens, max_seqlen):
        leak = q[10:12].mean() - q[10:12].mean().detach()
        return flagdit_kernels.attention(q, k, v, cu_seqlens, max_seqlen) + leak

    run_gate(NAMED["attention"], flagdit_kernels.attention, shape)
    with pytest.raises(RedGateError, match="gradient of q"):
        run_gate(NAMED["attention"], leaking, shape)


def test_attention_across_segments_is_red(monkeypatch: pytest.MonkeyPatch):
    """Attention that ignores the bounds is noticed, also where only rows around the bounds are looked at."""
    for pairs in (calls._PAIRS, 0):
        monkeypatch.setattr(calls, "_PAIRS", pairs)
        with pytest.raises(RedGateError):
            run_gate(NAMED["attention"], without_bounds, PACKED, backward=False)


def without_bounds(q, k, v, cu_seqlens, max_seqlen):
    """Attention of everything to everything."""
    whole = torch.tensor([0, len(q)], dtype=torch.int32)
    return flagdit_kernels.attention(q, k, v, whole, len(q))


def test_nothing_that_is_not_finite_passes():
    """NaN and infinity are red, and so is a result that should be zero and is not, or has another shape."""
    zero = torch.zeros(3)
    for found in (torch.tensor([1.0, float("nan"), 1.0]), torch.tensor([1.0, float("inf"), 1.0])):
        with pytest.raises(RedGateError, match="no number"):
            check_close(found, torch.ones(3), torch.float32, "a result")
    with pytest.raises(RedGateError, match="relative error inf"):
        check_close(zero + 1e-9, zero, torch.float32, "a result")
    check_close(zero, zero, torch.float32, "a result")
    with pytest.raises(RedGateError, match="shape"):
        Discrepancy().add(torch.ones(1), torch.ones(3))


def test_large_results_are_compared_to_the_end(monkeypatch: pytest.MonkeyPatch):
    """What is looked at piece by piece gives the error of the whole, to which the last, shorter piece belongs."""
    monkeypatch.setattr(gate, "_VALUES", 2)
    expected = torch.ones(3, 3)
    check_close(expected.T, expected, torch.float32, "a result")
    found = expected.clone()
    found[2, 2] = 4
    with pytest.raises(RedGateError, match="relative error 1 in"):
        check_close(found, expected, torch.float32, "a result")


def test_work():
    """Bytes are those of a fused form; attention's operations count each segment's pairs, backward two and a half."""
    rms, attention = NAMED["rms_norm_modulate"], NAMED["attention"]
    assert rms.work(PACKED, torch.bfloat16, backward=False) == {"bytes": 15 * 16 * 2 * 2}
    assert rms.work(PACKED, torch.bfloat16, backward=True) == {"bytes": 15 * 16 * 2 * 5}
    forward = 4 * 16 * (5**2 + 1 + 9**2)
    assert attention.work(PACKED, torch.bfloat16, backward=False) == {"flops": forward}
    assert attention.work(PACKED, torch.bfloat16, backward=True) == {"flops": 3.5 * forward}


def test_sizes():
    """The sizes are those that are promised: three widths at 4 K to 128 K tokens, and a packed mix."""
    shapes = [shape for shapes in gpu_shapes(quick=False) for shape in shapes]
    assert {(shape.hidden, shape.head_dim) for shape in shapes} == {(1536, 48), (3072, 96), (4096, 128)}
    for hidden in (1536, 3072, 4096):
        lengths = [shape.lengths for shape in shapes if shape.hidden == hidden]
        assert {(2**10 * k,) for k in (4, 16, 64, 128)} < set(lengths)
        assert any(len(set(each)) > 1 for each in lengths)
