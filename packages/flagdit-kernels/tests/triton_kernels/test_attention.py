"""The Triton kernels of attention against plain loops over segments and heads in float64, called directly.

The interpreter proves arithmetic and indexing of each form; races, layouts and speed are a GPU's to tell.
"""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from flagdit_kernels.backends import HEAD_SLABS
from flagdit_kernels.configs import CANDIDATES, Config, config
from flagdit_kernels.ops.attention import triton

from ..cases import Layout
from ..tolerances import assert_close
from .support import DEVICE, DTYPES, assert_no_worse, draw, exactly

NAMES = ("out", "lse", "dq", "dk", "dv")
LAYOUT = Layout(lengths=(35, 0, 17, 1))


def form(*, tma: int = 0, programs: int = 0, specialised: int = 0, block_m: int = 32, block_n: int = 16) -> Config:
    """Small blocks, so that a segment is several."""
    blocks = {"BLOCK_M": block_m, "BLOCK_N": block_n, "PROGRAMS_PER_SM": programs}
    return config(**blocks, TMA=tma, WARP_SPECIALIZE=specialised, num_warps=4, num_stages=2)


POINTERS, DESCRIPTORS = form(), form(tma=1, programs=3)
FORMS = {"pointers": POINTERS, "descriptors": DESCRIPTORS, "specialised": form(tma=1, programs=2, specialised=1)}


class Inputs(NamedTuple):
    """What attention is given, and the gradients of its two outputs."""

    q: Tensor
    k: Tensor
    v: Tensor
    dout: Tensor
    dlse: Tensor
    scale: Tensor


def inputs(
    layout: Layout = LAYOUT,
    dtype: torch.dtype = torch.float32,
    heads: tuple[int, int] = (2, 1),
    width: int = 16,
    seed: int = 0,
) -> Inputs:
    """Values are a slice of a wider projection; scales go with 1 / sqrt(width), and that of the last segment is 0.

    At a fixed scale wide heads would have scores of 20, whose log-sum-exp in float32 is off by 1e-6 before any kernel.
    """
    (num_heads, num_kv_heads), num_tokens = heads, layout.num_tokens
    q, dout = (draw(num_tokens, num_heads, width, dtype=dtype, seed=seed + index) for index in (0, 1))
    k = draw(num_tokens, num_kv_heads, width, dtype=dtype, seed=seed + 2)
    fused = draw(num_tokens, (num_kv_heads + 1) * width, dtype=dtype, seed=seed + 3, padding=0)
    dlse = draw(num_heads, num_tokens, dtype=torch.float32, seed=seed + 4)
    scale = torch.linspace(1.6 / width**0.5, 0, len(layout.lengths)).to(DEVICE)
    return Inputs(q, k, fused[:, width:].unflatten(-1, (num_kv_heads, width)), dout, dlse, scale)


def run(given: Inputs, layout: Layout, forward_config: Config, block: Config | None = None) -> tuple[Tensor, ...]:
    """Both outputs and all gradients by the kernels, in one form."""
    bounds = layout.arguments(DEVICE)["cu_seqlens"]
    backward_config = block or forward_config
    dq_config = config(**{name: value for name, value in backward_config.items() if name != "WARP_SPECIALIZE"})
    out, lse = triton.forward(given.q, given.k, given.v, bounds, 1.0, given.scale, forward_config)
    saved = (given.q, given.k, given.v, out, lse, bounds, 1.0, given.scale)
    return out, lse, *triton.backward(given.dout, given.dlse, *saved, backward_config, dq_config)


def plain(given: Inputs, layout: Layout) -> tuple[Tensor, ...]:
    """The same as `run` in plain PyTorch, in the dtype of what is given."""
    q, k, v = (x.detach().clone().requires_grad_() for x in given[:3])
    groups, outs, lses = q.shape[1] // k.shape[1], [], []
    for index, (start, end) in enumerate(layout.bounds):
        keys, values = (x[start:end].repeat_interleave(groups, dim=1) for x in (k, v))
        scores = given.scale[index].to(q.dtype) * torch.einsum("qnh,knh->nqk", q[start:end], keys)
        outs.append(torch.einsum("nqk,knh->qnh", scores.softmax(-1), values))
        lses.append(scores.logsumexp(-1))
    out, lse = torch.cat(outs), torch.cat(lses, 1)
    gradients = torch.autograd.grad((out, lse), (q, k, v), (given.dout, given.dlse.to(lse.dtype)))
    return out.detach(), lse.detach().float(), *gradients


def exact(given: Inputs) -> Inputs:
    """The same in float64 on the CPU."""
    return Inputs(*map(exactly, given))


def check(given: Inputs, layout: Layout, forward_config: Config, block: Config | None = None) -> None:
    """All five results are within the table's row for the dtype."""
    found = run(given, layout, forward_config, block)
    for name, got, want in zip(NAMES, found, plain(exact(given), layout), strict=True):
        assert_close(got, want, given.q.dtype, name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FORMS)
def test_forms(name, dtype):
    """Each form: two slabs, grouped heads, partial blocks, empty and length-1 segments, a scale of 0, sliced values.

    In half precision no error is more than twice that of plain PyTorch in the same dtype.
    """
    given = inputs(dtype=dtype, width=48)
    found, expected = run(given, LAYOUT, FORMS[name]), plain(exact(given), LAYOUT)
    rounded = plain(given, LAYOUT) if dtype != torch.float32 else found
    for title, got, same, want in zip(NAMES, found, rounded, expected, strict=True):
        assert got.dtype == (torch.float32 if title == "lse" else dtype)
        assert_close(got, want, dtype, title)
        if dtype != torch.float32:
            assert_no_worse(got, same, want, title)


@pytest.mark.parametrize("width", HEAD_SLABS)
def test_head_dimensions(width):
    """Every head dimension that is said to run does, with blocks of queries smaller than those of keys."""
    layout, blocks = Layout(lengths=(19,)), {"block_m": 16, "block_n": 32}
    check(inputs(layout, heads=(1, 1), width=width), layout, form(**blocks), form(tma=1, programs=1, **blocks))


@pytest.mark.parametrize("heads", [(3, 3), (4, 2), (4, 1)], ids=str)
def test_grouped_heads(heads):
    """The gradients of a key head sum over its query heads, for several ratios, in segments that fill their blocks."""
    layout = Layout(lengths=(16, 16))
    check(inputs(layout, heads=heads), layout, DESCRIPTORS, POINTERS)


@pytest.mark.parametrize("lengths", [(0, 0), (1,), (3, 0, 0, 1, 16, 2, 0, 17, 1, 5, 0, 32, 4)], ids=str)
def test_tiles_find_their_segments(lengths):
    """Any number of segments, of any length, next to each other, with as many programs as tiles and with few."""
    layout = Layout(lengths=lengths)
    check(inputs(layout, heads=(1, 1)), layout, form(block_m=16), form(block_m=16, tma=1, programs=2))


@pytest.mark.parametrize("name", FORMS)
def test_segments_do_not_leak(name):
    """A segment of NaNs leaves its neighbours what they are alone, bit for bit: rows past a segment are never used."""
    layout, first = Layout(lengths=(20, 9, 3)), Layout(lengths=(20,))
    given, alone = inputs(layout), inputs(layout)
    for x in given[:4]:
        x[20:29] = torch.nan
    given.dlse[:, 20:29] = torch.nan
    alone = Inputs(*(x[:20] for x in alone[:4]), alone.dlse[:, :20], alone.scale[:1])
    for title, got, want in zip(NAMES, run(given, layout, FORMS[name]), run(alone, first, FORMS[name]), strict=True):
        got = got[:, :20] if title == "lse" else got[:20]
        assert torch.equal(got, want), title


def test_keys_and_values_of_another_dtype():
    """Under autocast float32 keys meet bfloat16 queries: they are rounded to them, and their gradient is float32."""
    given = inputs(dtype=torch.bfloat16)
    mixed = given._replace(k=given.k.float())
    for title, got, want in zip(NAMES, run(mixed, LAYOUT, POINTERS), run(given, LAYOUT, POINTERS), strict=True):
        assert got.dtype == (torch.float32 if title in ("lse", "dk") else torch.bfloat16)
        torch.testing.assert_close(got.to(want.dtype), want, rtol=0, atol=0)


def test_offsets_past_two_to_the_31():
    """Rows that begin past 2**31 elements are read where they are, in all three kernels; most memory is virtual."""
    layout, blocks, stride = Layout(lengths=(260, 3)), form(block_m=128, block_n=128), triton.MAX_ROW_STRIDE - 16
    given = inputs(layout, torch.bfloat16, (1, 1))

    def far_apart(x: Tensor) -> Tensor:
        memory = torch.empty((len(x) - 1) * stride + 16, dtype=x.dtype, device=DEVICE)
        return memory.as_strided(x.shape, (stride, 16, 1)).copy_(x)

    far = given._replace(**{name: far_apart(getattr(given, name)) for name in ("q", "v", "dout")})
    assert 260 * far.q.stride(0) > 2**31
    assert triton._rows(far.q) is far.q
    for title, got, want in zip(NAMES, run(far, layout, blocks), run(given, layout, blocks), strict=True):
        assert torch.equal(got, want), title


def test_copies_only_what_is_not_aligned():
    """A slice of a projection is read in place; rows that 16-byte loads cannot read, or odd heads, are copied."""
    fused = torch.randn(6, 64, dtype=torch.bfloat16)
    whole = fused[:, 16:48].unflatten(-1, (2, 16))
    assert triton._rows(whole) is whole
    far = torch.empty(2**23 + 32, dtype=torch.bfloat16).as_strided((2, 2, 16), (2**23, 16, 1)).zero_()
    for odd in (fused[:, 1:33].unflatten(-1, (2, 16)), whole[:, :, :8], whole[:1].expand(6, 2, 16), far):
        copy = triton._rows(odd)
        assert copy.is_contiguous()
        assert copy.data_ptr() != odd.data_ptr()
        assert torch.equal(copy, odd)


def test_the_callers_allocator_stays():
    """Descriptors' memory comes from this package; an allocator that the caller gave Triton is there afterwards."""
    from triton import set_allocator
    from triton.runtime._allocation import _allocator

    before = _allocator.get()
    try:
        set_allocator(check)
        run(inputs(), LAYOUT, DESCRIPTORS)
        assert _allocator.get() is check
    finally:
        set_allocator(before)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [48, 96, 128])
@pytest.mark.parametrize("specialised", [0, 1], ids=["by hand", "specialised"])
def test_a_hundred_runs_give_the_same_bits(specialised, width):
    """Forward and backward are deterministic, those that the compiler specialises too."""
    layout = Layout(lengths=(1000, 3, 4096))
    given = inputs(layout, torch.bfloat16, (8, 4), width)
    blocks = {"tma": 1, "programs": 1, "specialised": 1}
    forms = (form(block_m=128, block_n=128, **blocks), form(block_m=64, block_n=64, **blocks))
    chosen = forms if specialised else default_forms(width)
    first = run(given, layout, *chosen)
    for _ in range(99):
        assert all(map(torch.equal, first, run(given, layout, *chosen)))


def default_forms(width: int) -> tuple[Config, Config]:
    """What `run` takes for the configurations that a user gets."""
    from flagdit_kernels.configs import find_config

    device = torch.device(DEVICE, torch.cuda.current_device())
    kernels = ("attention.forward", "attention.backward_dkdv")
    return tuple(find_config(kernel, width, torch.bfloat16, device) for kernel in kernels)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [48, 96, 128])
@pytest.mark.parametrize("kernel", ["attention.forward", "attention.backward_dkdv"])
@pytest.mark.parametrize("specialised", [0, 1], ids=["by hand", "specialised"])
def test_candidates_are_right(specialised, kernel, width):
    """Every configuration that the tuner may choose and that the GPU can launch gives the right results."""
    from triton.runtime.errors import OutOfResources

    given, ran = inputs(LAYOUT, torch.bfloat16, (4, 2), width), 0
    for candidate in CANDIDATES[kernel]:
        if candidate["WARP_SPECIALIZE"] != specialised:
            continue
        try:
            check(given, LAYOUT, *((candidate, POINTERS) if kernel == "attention.forward" else (POINTERS, candidate)))
        except OutOfResources:
            continue
        ran += 1
    assert ran
