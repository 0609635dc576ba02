"""Rows of one head in Triton as one or two slabs, each a power of two wide: 96 channels are 64 + 32, not padded to 128.

A matrix of H0 + H1 channels is a tuple of its slabs, of one where H1 is 0, so that a kernel reads like its formula.
Rows come through plain pointers, or through tensor descriptors (TMA), which read zeros past their last row. Rows from
``end`` on belong to another segment: MASK reads zeros for them, so that not even a NaN crosses over.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc,assignment"

import triton
import triton.language as tl


@triton.jit
def open_slabs(
    X,
    x_stride,
    num_rows,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    TMA: tl.constexpr,
):
    """What `load_slabs` reads from: the row stride, and the pointer or descriptors of (num_rows, WIDTH)."""
    source = x_stride, X
    if TMA:
        source = x_stride, tl.make_tensor_descriptor(X, [num_rows, WIDTH], [x_stride, 1], [BLOCK, H0])
        if H1 > 0:
            source += (tl.make_tensor_descriptor(X, [num_rows, WIDTH], [x_stride, 1], [BLOCK, H1]),)
    return source


@triton.jit
def _load_slab(
    X, x_stride, row, end, column, BLOCK: tl.constexpr, H: tl.constexpr, TMA: tl.constexpr, MASK: tl.constexpr
):
    offset = tl.arange(0, BLOCK)[:, None]
    if TMA:
        x = X.load([row, column])
        if MASK:
            x = tl.where(row + offset < end, x, 0.0)
    else:
        pointer = X + (tl.cast(row, tl.int64) * x_stride + column) + (offset * x_stride + tl.arange(0, H)[None, :])
        if MASK:
            x = tl.load(pointer, mask=row + offset < end, other=0.0)
        else:
            x = tl.load(pointer)
    return x


@triton.jit
def load_slabs(
    source,
    row,
    end,
    column,
    BLOCK: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    TMA: tl.constexpr,
    MASK: tl.constexpr,
):
    """BLOCK rows from ``row``, H0 + H1 columns from ``column``; with MASK zeros from row ``end`` on."""
    slabs = (_load_slab(source[1], source[0], row, end, column, BLOCK, H0, TMA, MASK),)
    if H1 > 0:
        slabs += (_load_slab(source[1 + TMA], source[0], row, end, column + H0, BLOCK, H1, TMA, MASK),)
    return slabs


@triton.jit
def store_slabs(X, x, x_stride, row, end, column, BLOCK: tl.constexpr, H0: tl.constexpr, H1: tl.constexpr):
    """Write the rows before ``end``, rounded to the tensor's dtype."""
    offset = tl.arange(0, BLOCK)[:, None]
    pointer = X + (tl.cast(row, tl.int64) * x_stride + column) + offset * x_stride
    inside = row + offset < end
    tl.store(pointer + tl.arange(0, H0)[None, :], x[0].to(X.dtype.element_ty), mask=inside)
    if H1 > 0:
        tl.store(pointer + (H0 + tl.arange(0, H1)[None, :]), x[1].to(X.dtype.element_ty), mask=inside)


@triton.jit
def zero_slabs(BLOCK: tl.constexpr, H0: tl.constexpr, H1: tl.constexpr):
    """Zeros in float32, to accumulate in."""
    slabs = (tl.zeros([BLOCK, H0], tl.float32),)
    if H1 > 0:
        slabs += (tl.zeros([BLOCK, H1], tl.float32),)
    return slabs


@triton.jit
def scale_slabs(x, factor):
    """``x * factor``."""
    slabs = (x[0] * factor,)
    if len(x) == 2:
        slabs += (x[1] * factor,)
    return slabs


@triton.jit
def row_products(a, b):
    """``a @ b^T`` in float32: the product of each row of a with each row of b."""
    product = tl.dot(a[0], b[0].T, input_precision="ieee")
    if len(a) == 2:
        product = tl.dot(a[1], b[1].T, product, input_precision="ieee")
    return product


@triton.jit
def add_product(sums, weights, x):
    """``sums + weights @ x``, weights rounded to x's dtype."""
    weights = weights.to(x[0].dtype)
    slabs = (tl.dot(weights, x[0], sums[0], input_precision="ieee"),)
    if len(x) == 2:
        slabs += (tl.dot(weights, x[1], sums[1], input_precision="ieee"),)
    return slabs
