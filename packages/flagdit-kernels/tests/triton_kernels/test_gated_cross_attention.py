"""The Triton kernels of gated_cross_attention against the closed-form reference in float64, called directly."""

import pytest
import torch
from torch import Tensor

from flagdit_kernels.configs import CANDIDATES, CONFIGS, Config, config
from flagdit_kernels.ops.gated_cross_attention import reference, triton

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, assert_no_worse, draw, exactly

SMALL = config(BLOCK_M=16, BLOCK_N=16, num_warps=4, num_stages=2)
# Several shares of queries for each block of keys, and one.
SHARED, WHOLE = (config(**SMALL, MIN_PROGRAMS=programs, MIN_QUERIES=8) for programs in (64, 1))
LAYOUT = Layout(lengths=(19, 1, 0, 4))
NAMES = ("q", "k", "v", "gate")


def inputs(
    layout: Layout = LAYOUT,
    dtype: torch.dtype = torch.float32,
    heads: tuple[int, int] = (2, 1),
    width: int = 16,
    num_keys: int = 21,
) -> tuple[list[Tensor], Tensor]:
    """Out, q, k, v, gate, mask, bounds; and dout. Keys and values are halves of one projection, all texts full."""
    (num_heads, num_kv_heads), num_segments = heads, len(layout.lengths)
    out, q, dout = (draw(layout.num_tokens, num_heads, width, dtype=dtype, seed=seed) for seed in range(3))
    fused = draw(num_segments, num_keys, 2 * num_kv_heads * width, dtype=dtype, seed=3)
    k, v = (x.unflatten(-1, (num_kv_heads, width)) for x in fused.chunk(2, dim=-1))
    gate, mask = draw(num_heads, dtype=dtype, seed=4), torch.ones(num_segments, num_keys, device=DEVICE).bool()
    return [out, q, k, v, gate, mask, layout.arguments(DEVICE)["cu_seqlens"]], dout


def backward(arguments: list[Tensor], dout: Tensor, layout: Layout = LAYOUT, shares: Config = SHARED):
    """The gradients of q, k, v and gate, with small blocks."""
    return triton.backward(dout, *arguments[1:], max(layout.lengths), dq_config=SMALL, dkdv_config=shares)


def expected(arguments: list[Tensor], dout: Tensor, layout: Layout = LAYOUT) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The result and the gradients by the reference, in float64 on the CPU."""
    *values, mask, bounds = arguments
    values, mask, bounds = [exactly(value) for value in values], mask.cpu(), bounds.cpu()
    out = reference.forward(*values, mask, bounds, max(layout.lengths))
    return out, reference.backward(exactly(dout), *values[1:], mask, bounds)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("heads", "width", "num_keys"), [((2, 1), 48, 21), ((1, 1), 96, 16), ((4, 2), 128, 5)], ids=str
)
def test_gated_cross_attention(heads, width, num_keys, dtype):
    """Forward and all gradients: two slabs, grouped heads, blocks not full, gaps in texts and one fully masked.

    In half precision no error is more than twice that of plain PyTorch in the same dtype.
    """
    arguments, dout = inputs(dtype=dtype, heads=heads, width=width, num_keys=num_keys)
    arguments[5][0, ::3] = False
    arguments[5][1:, num_keys // 2 :] = False
    arguments[5][3] = False
    leaves = [value.clone().requires_grad_() for value in arguments[:5]]
    plain = reference.forward(*leaves, *arguments[5:], max(LAYOUT.lengths))
    _, *plain_gradients = torch.autograd.grad(plain, leaves, dout)
    out, gradients = expected(arguments, dout)
    found = (triton.forward(*arguments, config=SMALL), *backward(arguments, dout))
    rows = zip(("out", *NAMES), found, (plain.detach(), *plain_gradients), (out, *gradients), strict=True)
    for name, got, other, want in rows:
        assert got.is_contiguous()
        if dtype == torch.float32:
            assert_close(got, want, dtype, name)
        else:
            assert_no_worse(got, other, want, name)


@pytest.mark.parametrize("width", [16, 32, 64])
def test_widths_of_one_slab(width):
    """A width that is one power of two takes no second slab; one share of queries is written without partial sums."""
    layout = Layout(lengths=(5,))
    arguments, dout = inputs(layout, heads=(1, 1), width=width)
    out, gradients = expected(arguments, dout, layout)
    assert_close(triton.forward(*arguments, config=SMALL), out, torch.float32, "out")
    for name, got, want in zip(NAMES, backward(arguments, dout, layout, WHOLE), gradients, strict=True):
        assert_close(got, want, torch.float32, f"gradient of {name}")


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_configurations_of_the_table(dtype):
    """The rows of the table run, and give blocks larger than the segments and the texts."""
    layout = Layout(lengths=(3, 2))
    arguments, dout = inputs(layout, dtype, width=96)
    out, gradients = expected(arguments, dout, layout)
    assert_close(triton.forward(*arguments), out, dtype, "out")
    found = triton.backward(dout, *arguments[1:], 3)
    for name, got, want in zip(NAMES, found, gradients, strict=True):
        assert_close(got, want, dtype, f"gradient of {name}")


@pytest.mark.parametrize("stage", ["forward", "backward_dq", "backward_dkdv"])
def test_table_has_the_constants(stage):
    """Every row of the table, and every candidate, names the launch constants that the kernels take."""
    constants = (SHARED if stage == "backward_dkdv" else SMALL).keys()
    kernel = f"gated_cross_attention.{stage}"
    rows = [row for table in CONFIGS.values() for name in (kernel, f"{kernel}.float32") for row in table[name].values()]
    assert all(row.keys() == constants for row in (*rows, *CANDIDATES[kernel]))


def test_small_gates():
    """A gate near the zero it starts from keeps its relative precision, on both sides of the series' bound."""
    layout = Layout(lengths=(16,))
    arguments, dout = inputs(layout, heads=(6, 6), num_keys=16)
    arguments[0].zero_()
    arguments[4] = torch.tensor([1e-6, -1e-3, 0.2499, -0.2501, 3.0, -40.0], device=DEVICE)
    out, (dq, *_) = expected(arguments, dout, layout)
    found, (found_dq, *_) = triton.forward(*arguments, config=SMALL), backward(arguments, dout, layout)
    for head in range(6):
        assert_close(found[:, head], out[:, head], torch.float32, f"out of head {head}")
        assert_close(found_dq[:, head], dq[:, head], torch.float32, f"gradient of q of head {head}")


@pytest.mark.parametrize(("lengths", "num_keys"), [((0, 0), 16), ((3, 2), 0)], ids=["no tokens", "no keys"])
def test_nothing_to_attend(lengths, num_keys):
    """Without tokens, and without text: ``out`` as it came, gradients of 0."""
    layout = Layout(lengths=lengths)
    arguments, dout = inputs(layout, num_keys=num_keys)
    assert torch.equal(triton.forward(*arguments, config=SMALL), arguments[0])
    assert not any(gradient.any() for gradient in backward(arguments, dout, layout))


def test_fully_masked_texts_add_nothing():
    """Without any key the output is ``out`` to the bit, in new memory, and no gradient reaches q, k, v or the gate."""
    arguments, dout = inputs(dtype=torch.bfloat16)
    arguments[5][:] = False
    found = triton.forward(*arguments, config=SMALL)
    assert torch.equal(found, arguments[0]) and found.data_ptr() != arguments[0].data_ptr()
    assert not any(gradient.any() for gradient in backward(arguments, dout))


def test_keys_past_the_text_are_not_read():
    """Blocks of keys after the last one present are never read: NaN there changes nothing."""
    layout = Layout(lengths=(5,))
    arguments, dout = inputs(layout, num_keys=40)
    arguments[5][:, 9:] = False
    before = (triton.forward(*arguments, config=SMALL), *backward(arguments, dout, layout))
    for x in arguments[2:4]:
        x[:, 16:] = torch.nan
    after = (triton.forward(*arguments, config=SMALL), *backward(arguments, dout, layout))
    assert all(map(torch.equal, before, after))


def test_offsets_past_two_to_the_31():
    """Tokens past 2**31 elements are read where they are: offsets are 64-bit. Untouched memory is virtual."""
    layout, stride = Layout(lengths=(18,)), 2**27
    arguments, dout = inputs(layout, torch.bfloat16, heads=(1, 1), num_keys=3)
    out, gradients = expected(arguments, dout, layout)

    def spread(x: Tensor) -> Tensor:
        far = x.new_empty(0).resize_(17 * stride + 16).as_strided((18, 1, 16), (stride, 16, 1))
        return far.copy_(x)

    arguments[:2], dout = [spread(x) for x in arguments[:2]], spread(dout)
    found = (triton.forward(*arguments, config=SMALL), *backward(arguments, dout, layout))
    for name, got, want in zip(("out", *NAMES), found, (out, *gradients), strict=True):
        assert_close(got, want, torch.bfloat16, name)


@pytest.mark.gpu
def test_repeats_are_equal():
    """A hundred runs of forward and backward give the same bits, with the configurations of the table."""
    layout = Layout(lengths=(1000, 3, 4096))
    arguments, dout = inputs(layout, torch.bfloat16, heads=(16, 4), width=96, num_keys=256)
    arguments[5][1, 40:], arguments[5][2, ::5] = False, False
    first = (triton.forward(*arguments), *triton.backward(dout, *arguments[1:], 4096))
    for _ in range(99):
        again = (triton.forward(*arguments), *triton.backward(dout, *arguments[1:], 4096))
        assert all(map(torch.equal, first, again))
