"""What the kernels build on in Triton gives what PyTorch gives: in the repaired interpreter, and on a GPU."""

import pytest
import torch
import triton
import triton.language as tl

from .support import DEVICE, DTYPES


@triton.jit
def _cast_kernel(X, OUT, size, BLOCK: tl.constexpr):
    index = tl.arange(0, BLOCK)
    x = tl.load(X + index, mask=index < size, other=0.0)
    tl.store(OUT + index, x.to(OUT.dtype.element_ty), mask=index < size)


@triton.jit
def _arithmetic_kernel(X, Y, OUT, BLOCK: tl.constexpr):
    index = tl.arange(0, BLOCK)
    x, y = tl.load(X + index), tl.load(Y + index)
    tl.store(OUT + index, tl.where(x > y, x * y, -y) + 1.0)


@triton.jit
def _dot_kernel(A, B, OUT, num_blocks, BLOCK: tl.constexpr):
    row, column = tl.arange(0, BLOCK)[:, None] * BLOCK, tl.arange(0, BLOCK)[None, :]
    total = tl.zeros([BLOCK, BLOCK], dtype=tl.float32)
    for block in tl.range(0, num_blocks * BLOCK * BLOCK, BLOCK * BLOCK, num_stages=2, warp_specialize=False):
        a, b = tl.load(A + block + row + column), tl.load(B + block + row + column)
        total = tl.dot(a, b.T, total, input_precision="ieee")
    tl.store(OUT + row + column, total)


@triton.jit
def _pairs_kernel(X, OUT, BLOCK: tl.constexpr):
    index = tl.arange(0, BLOCK)
    even, odd = tl.split(tl.reshape(tl.load(X + index), [BLOCK // 2, 2]))
    tl.store(OUT + index, tl.reshape(tl.join(-odd, even), [BLOCK]))


@triton.jit
def _descriptor_kernel(X, OUT, num_rows, stride, first, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    x = tl.make_tensor_descriptor(X, [num_rows, WIDTH], [stride, 1], [BLOCK, WIDTH])
    out = tl.make_tensor_descriptor(OUT, [num_rows, WIDTH], [stride, 1], [BLOCK, WIDTH])
    out.store([first, 0], x.load([first, 0]))


@triton.jit
def _count_kernel(BOUNDS, OUT):
    total = 0
    for _ in range(tl.load(BOUNDS), tl.load(BOUNDS + 1), 3):
        total += 1
    while total > 100:
        total -= 100
    if total % 2 == 1:
        total = -total
    tl.store(OUT, total)


def numbers(*shape: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Normal values over many magnitudes, with the special ones among them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator) * 2.0 ** torch.randint(-12, 12, shape, generator=generator)
    x.view(-1)[:6] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1 + 2**-8])
    return x.to(DEVICE, dtype)


@pytest.mark.parametrize("target", DTYPES, ids=str)
@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_casts(source, target):
    """Every cast rounds to nearest, ties to even, and keeps zeros, infinities and NaN."""
    x = numbers(1000, dtype=source)
    out = x.new_empty(1000, dtype=target)
    _cast_kernel[(1,)](x, out, 1000, BLOCK=1024)
    torch.testing.assert_close(out, x.to(target), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arithmetic(dtype):
    """Products, sums, negation and comparison are those of the values, also where the dtype is bfloat16."""
    x, y = torch.randn(2, 256, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    out = torch.empty_like(x)
    _arithmetic_kernel[(1,)](x, y, out, BLOCK=256)
    torch.testing.assert_close(out, torch.where(x > y, x * y, -y) + 1)


@pytest.mark.parametrize("num_blocks", [0, 1, 3])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dots(dtype, num_blocks):
    """Products of matrices accumulate in float32, in a loop whose bound is an argument."""
    a, b = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    out = torch.empty(16, 16, device=DEVICE)
    _dot_kernel[(1,)](a, b, out, num_blocks, BLOCK=16)
    expected = (a[:num_blocks].double() @ b[:num_blocks].double().mT).sum(0).float()
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_pairs(dtype):
    """Adjacent values are taken apart and put together."""
    x = torch.randn(64, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    out = torch.empty_like(x)
    _pairs_kernel[(1,)](x, out, BLOCK=64)
    assert torch.equal(out, torch.stack((-x[1::2], x[::2]), -1).flatten())


@pytest.mark.parametrize("first", [0, 8, 20, 24])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_descriptors(dtype, first):
    """A descriptor reads zeros and writes nothing past its rows, from any first row."""
    triton.set_allocator(lambda size, alignment, stream: torch.empty(size, dtype=torch.int8, device=DEVICE))
    x = torch.randn(24, 32, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    out = torch.zeros_like(x)
    _descriptor_kernel[(1,)](x, out, 21, 32, first, BLOCK=8, WIDTH=16)
    expected = torch.zeros_like(x)
    expected[first : min(first + 8, 21), :16] = x[first : min(first + 8, 21), :16]
    assert torch.equal(out, expected)


@pytest.mark.parametrize(("begin", "end", "count"), [(0, 0, 0), (2, 3, -1), (1, 8, -3), (5, 1000, 32)])
def test_loops_over_values_in_memory(begin, end, count):
    """Bounds of loops and conditions may be tensors."""
    out = torch.zeros(1, dtype=torch.int32, device=DEVICE)
    _count_kernel[(1,)](torch.tensor([begin, end], dtype=torch.int32, device=DEVICE), out)
    assert out.item() == count
