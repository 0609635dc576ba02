"""Packed attention in Triton, forward and deterministic backward, without ever holding the scores.

    s = scale * q k^T        lse = log sum exp s        p = exp(s - lse)        out = p v
    delta = rowsum(dout * out) - dlse                   ds = p * (dout v^T - delta)
    dv = p^T dout            dk = scale * ds^T q        dq = scale * ds k

With M = sum over segments of length^2: forward reads q, k, v and writes out and lse, 8 bytes per value of (L, N, H) in
half precision, and takes 4 M N H FLOPs. Backward takes 14 M N H: a kernel that owns keys and one that owns queries each
compute the scores again, so that no sum is shared between programs: no atomics, no float32 copy of dq, the same bits
each run. `_delta_kernel` reads out and dout once, 4 bytes per value.

Design: a program owns a tile of rows of one (head, segment), neighbours share their keys in the cache; the partial last
block is peeled off and done first, so that the loop carries no masks. Head widths are two slabs of powers of two, not
padded, and one source serves plain pointers and tensor descriptors, which a persistent program builds once.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import contextvars
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.backends import HEAD_SLABS
from flagdit_kernels.configs import Config, find_config
from flagdit_kernels.triton_segments import find_tile, max_tiles, search_steps
from flagdit_kernels.triton_slabs import (
    add_product,
    load_slabs,
    open_slabs,
    row_products,
    scale_slabs,
    store_slabs,
    zero_slabs,
)

LOG2_E = tl.constexpr(1.4426950408889634)
MAX_ROW_STRIDE = 2**23
# Compiled once for all lengths and numbers of segments.
SIZES = ["num_tokens", "num_segments", "num_steps"]


@triton.jit
def _score_scale(softmax_scale, SEGMENT_SCALE, segment):
    """The segment's softmax scale."""
    scale = softmax_scale
    if SEGMENT_SCALE is not None:
        scale = tl.load(SEGMENT_SCALE + segment).to(tl.float32)
    return scale


@triton.jit
def _attend(
    state,
    q,
    keys,
    values,
    row,
    end,
    column,
    log2_scale,
    BLOCK_N: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    TMA: tl.constexpr,
    MASK_ROWS: tl.constexpr,
    MASK_SCORES: tl.constexpr,
):
    """One block of keys: the running sums, and in powers of two the maximum and the sum of the exponentials."""
    sums, maximum, total = state
    k = load_slabs(keys, row, end, column, BLOCK_N, H0, H1, TMA, MASK_ROWS)
    scores = row_products(q, k)
    if MASK_SCORES:
        scores = tl.where((row + tl.arange(0, BLOCK_N) < end)[None, :], scores, float("-inf"))
    new_maximum = tl.maximum(maximum, tl.max(scores, 1) * log2_scale)
    p = tl.exp2(scores * log2_scale - new_maximum[:, None])
    shrink = tl.exp2(maximum - new_maximum)
    v = load_slabs(values, row, end, column, BLOCK_N, H0, H1, TMA, MASK_ROWS)
    return add_product(scale_slabs(sums, shrink[:, None]), p, v), new_maximum, total * shrink + tl.sum(p, 1)


@triton.jit(do_not_specialize=SIZES)
def _forward_kernel(
    Q,
    K,
    V,
    CU_SEQLENS,
    SEGMENT_SCALE,
    OUT,
    LSE,
    q_stride,
    k_stride,
    v_stride,
    softmax_scale,
    num_tokens,
    num_segments,
    num_steps,
    N: tl.constexpr,
    G: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TMA: tl.constexpr,
    WARP_SPECIALIZE: tl.constexpr,
):
    """A program owns BLOCK_M queries of a head and goes over the keys."""
    H: tl.constexpr = H0 + H1
    queries = open_slabs(Q, q_stride, num_tokens, N * H, BLOCK_M, H0, H1, TMA)
    keys = open_slabs(K, k_stride, num_tokens, G * H, BLOCK_N, H0, H1, TMA)
    values = open_slabs(V, v_stride, num_tokens, G * H, BLOCK_N, H0, H1, TMA)
    tiles_per_head = num_tokens // BLOCK_M + num_segments
    for index in tl.range(tl.program_id(0), tiles_per_head * N, tl.num_programs(0)):
        head, tile = index // tiles_per_head, index % tiles_per_head
        column = head // (N // G) * H
        segment, begin, end, start = find_tile(CU_SEQLENS, tile, num_segments, num_steps, BLOCK_M)
        # A scale of 0 stays above 0, so that a masked score stays -inf.
        log2_scale = tl.maximum(_score_scale(softmax_scale, SEGMENT_SCALE, segment) * LOG2_E, 1e-30)
        q = load_slabs(queries, start, end, head * H, BLOCK_M, H0, H1, TMA, not TMA)
        maximum = tl.full([BLOCK_M], float("-inf"), tl.float32)
        state = zero_slabs(BLOCK_M, H0, H1), maximum, tl.zeros([BLOCK_M], tl.float32)
        stop = tl.where(start < end, end, begin)  # a tile past its segment has nothing to do
        if WARP_SPECIALIZE:
            # The compiler specialises a single loop: the masks of scores stay in it, and values end with the segment.
            loop_end = stop
            values = open_slabs(V, v_stride, end, G * H, BLOCK_N, H0, H1, TMA)
        else:
            loop_end = begin + (stop - begin) // BLOCK_N * BLOCK_N
            for row in tl.range(loop_end, stop, BLOCK_N, num_stages=1):
                state = _attend(state, q, keys, values, row, end, column, log2_scale, BLOCK_N, H0, H1, TMA, True, True)
        for row in tl.range(begin, loop_end, BLOCK_N, warp_specialize=WARP_SPECIALIZE):
            state = _attend(
                state, q, keys, values, row, end, column, log2_scale, BLOCK_N, H0, H1, TMA, False, WARP_SPECIALIZE
            )
        sums, maximum, total = state
        store_slabs(OUT, scale_slabs(sums, (1 / total)[:, None]), N * H, start, end, head * H, BLOCK_M, H0, H1)
        rows = start + tl.arange(0, BLOCK_M)
        lse = (maximum + tl.log2(total)) / LOG2_E
        tl.store(LSE + tl.cast(head, tl.int64) * num_tokens + rows, lse, mask=rows < end)


@triton.jit(do_not_specialize=["num_tokens"])
def _delta_kernel(
    OUT,
    DOUT,
    DLSE,
    DELTA,
    out_stride,
    dout_stride,
    num_tokens,
    N: tl.constexpr,
    H: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """A program owns BLOCK_M rows of a head."""
    head = tl.program_id(0) % N
    rows = tl.program_id(0) // N * BLOCK_M + tl.arange(0, BLOCK_M)
    column = tl.arange(0, BLOCK_H)[None, :]
    inside = (rows < num_tokens)[:, None] & (column < H)
    row64, column = rows.to(tl.int64)[:, None], head * H + column
    out = tl.load(OUT + row64 * out_stride + column, mask=inside, other=0.0).to(tl.float32)
    dout = tl.load(DOUT + row64 * dout_stride + column, mask=inside, other=0.0).to(tl.float32)
    by_head = tl.cast(head, tl.int64) * num_tokens + rows
    dlse = tl.load(DLSE + by_head, mask=rows < num_tokens, other=0.0)
    tl.store(DELTA + by_head, tl.sum(out * dout, 1) - dlse, mask=rows < num_tokens)


@triton.jit
def _add_key_gradients(
    state,
    k,
    v,
    queries,
    douts,
    LSE,
    DELTA,
    row,
    end,
    column,
    log2_scale,
    BLOCK_M: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    TMA: tl.constexpr,
):
    """One block of queries: the sums of dk / scale and dv. Scores are transposed, keys by queries."""
    dk, dv = state
    rows = row + tl.arange(0, BLOCK_M)
    # Past the end q, dout and delta are 0, and so is what is added.
    lse = tl.load(LSE + rows, mask=rows < end, other=0.0)
    delta = tl.load(DELTA + rows, mask=rows < end, other=0.0)
    q = load_slabs(queries, row, end, column, BLOCK_M, H0, H1, TMA, not TMA)
    p = tl.exp2(row_products(k, q) * log2_scale - (lse * LOG2_E)[None, :])
    dout = load_slabs(douts, row, end, column, BLOCK_M, H0, H1, TMA, not TMA)
    dv = add_product(dv, p, dout)
    dscores = p * (row_products(v, dout) - delta[None, :])
    return add_product(dk, dscores, q), dv


@triton.jit(do_not_specialize=SIZES)
def _dkdv_kernel(
    Q,
    K,
    V,
    DOUT,
    CU_SEQLENS,
    SEGMENT_SCALE,
    LSE,
    DELTA,
    DK,
    DV,
    q_stride,
    k_stride,
    v_stride,
    dout_stride,
    softmax_scale,
    num_tokens,
    num_segments,
    num_steps,
    N: tl.constexpr,
    G: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TMA: tl.constexpr,
    WARP_SPECIALIZE: tl.constexpr,
):
    """A program owns BLOCK_N keys of a key head and goes over the queries of all its query heads."""
    H: tl.constexpr = H0 + H1
    keys = open_slabs(K, k_stride, num_tokens, G * H, BLOCK_N, H0, H1, TMA)
    values = open_slabs(V, v_stride, num_tokens, G * H, BLOCK_N, H0, H1, TMA)
    tiles_per_head = num_tokens // BLOCK_N + num_segments
    for index in tl.range(tl.program_id(0), tiles_per_head * G, tl.num_programs(0)):
        group, tile = index // tiles_per_head, index % tiles_per_head
        segment, begin, end, start = find_tile(CU_SEQLENS, tile, num_segments, num_steps, BLOCK_N)
        scale = _score_scale(softmax_scale, SEGMENT_SCALE, segment)
        k = load_slabs(keys, start, end, group * H, BLOCK_N, H0, H1, TMA, not TMA)
        v = load_slabs(values, start, end, group * H, BLOCK_N, H0, H1, TMA, not TMA)
        # Descriptors that end with the segment leave nothing to mask but lse, so that no block is peeled off.
        queries = open_slabs(Q, q_stride, end, N * H, BLOCK_M, H0, H1, TMA)
        douts = open_slabs(DOUT, dout_stride, end, N * H, BLOCK_M, H0, H1, TMA)
        state = zero_slabs(BLOCK_N, H0, H1), zero_slabs(BLOCK_N, H0, H1)
        stop = tl.where(start < end, end, begin)
        for member in range(N // G):
            head = group * (N // G) + member
            lse, delta = LSE + tl.cast(head, tl.int64) * num_tokens, DELTA + tl.cast(head, tl.int64) * num_tokens
            for row in tl.range(begin, stop, BLOCK_M, warp_specialize=WARP_SPECIALIZE):
                state = _add_key_gradients(
                    state, k, v, queries, douts, lse, delta, row, end, head * H, scale * LOG2_E, BLOCK_M, H0, H1, TMA
                )
        dk, dv = state
        store_slabs(DK, scale_slabs(dk, scale), G * H, start, end, group * H, BLOCK_N, H0, H1)
        store_slabs(DV, dv, G * H, start, end, group * H, BLOCK_N, H0, H1)


@triton.jit
def _add_query_gradient(
    dq,
    q,
    dout,
    lse,
    delta,
    keys,
    values,
    row,
    end,
    column,
    log2_scale,
    BLOCK_N: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    TMA: tl.constexpr,
    MASK: tl.constexpr,
):
    """One block of keys: the sum of dq / scale."""
    k = load_slabs(keys, row, end, column, BLOCK_N, H0, H1, TMA, MASK)
    p = tl.exp2(row_products(q, k) * log2_scale - lse[:, None])
    v = load_slabs(values, row, end, column, BLOCK_N, H0, H1, TMA, MASK and not TMA)
    dscores = p * (row_products(dout, v) - delta[:, None])
    if MASK:
        dscores = tl.where((row + tl.arange(0, BLOCK_N) < end)[None, :], dscores, 0.0)
    return add_product(dq, dscores, k)


@triton.jit(do_not_specialize=SIZES)
def _dq_kernel(
    Q,
    K,
    V,
    DOUT,
    CU_SEQLENS,
    SEGMENT_SCALE,
    LSE,
    DELTA,
    DQ,
    q_stride,
    k_stride,
    v_stride,
    dout_stride,
    softmax_scale,
    num_tokens,
    num_segments,
    num_steps,
    N: tl.constexpr,
    G: tl.constexpr,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TMA: tl.constexpr,
):
    """A program owns BLOCK_M queries of a head and goes over the keys."""
    H: tl.constexpr = H0 + H1
    queries = open_slabs(Q, q_stride, num_tokens, N * H, BLOCK_M, H0, H1, TMA)
    douts = open_slabs(DOUT, dout_stride, num_tokens, N * H, BLOCK_M, H0, H1, TMA)
    keys = open_slabs(K, k_stride, num_tokens, G * H, BLOCK_N, H0, H1, TMA)
    values = open_slabs(V, v_stride, num_tokens, G * H, BLOCK_N, H0, H1, TMA)
    tiles_per_head = num_tokens // BLOCK_M + num_segments
    for index in tl.range(tl.program_id(0), tiles_per_head * N, tl.num_programs(0)):
        head, tile = index // tiles_per_head, index % tiles_per_head
        column = head // (N // G) * H
        segment, begin, end, start = find_tile(CU_SEQLENS, tile, num_segments, num_steps, BLOCK_M)
        scale = _score_scale(softmax_scale, SEGMENT_SCALE, segment)
        log2_scale = scale * LOG2_E
        q = load_slabs(queries, start, end, head * H, BLOCK_M, H0, H1, TMA, not TMA)
        dout = load_slabs(douts, start, end, head * H, BLOCK_M, H0, H1, TMA, not TMA)
        rows = start + tl.arange(0, BLOCK_M)
        by_head = tl.cast(head, tl.int64) * num_tokens + rows
        lse = tl.load(LSE + by_head, mask=rows < end, other=0.0) * LOG2_E
        delta = tl.load(DELTA + by_head, mask=rows < end, other=0.0)
        dq = zero_slabs(BLOCK_M, H0, H1)
        stop = tl.where(start < end, end, begin)
        loop_end = begin + (stop - begin) // BLOCK_N * BLOCK_N
        for row in tl.range(loop_end, stop, BLOCK_N, num_stages=1):
            dq = _add_query_gradient(
                dq, q, dout, lse, delta, keys, values, row, end, column, log2_scale, BLOCK_N, H0, H1, TMA, True
            )
        for row in tl.range(begin, loop_end, BLOCK_N):
            dq = _add_query_gradient(
                dq, q, dout, lse, delta, keys, values, row, end, column, log2_scale, BLOCK_N, H0, H1, TMA, False
            )
        store_slabs(DQ, scale_slabs(dq, scale), N * H, start, end, head * H, BLOCK_M, H0, H1)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale: Tensor | None = None,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention, and its natural log-sum-exp as (N, L) in float32."""
    num_tokens, num_heads, head_dim = q.shape
    out, lse = q.new_empty(q.shape), q.new_empty(num_heads, num_tokens, dtype=torch.float32)
    config = config or find_config("attention.forward", head_dim, q.dtype, q.device)
    tiles = _Tiles(num_heads, config["BLOCK_M"])
    _launch(_forward_kernel, tiles, config, (q, k, v), cu_seqlens, softmax_scale, segment_scale, (out, lse))
    return out, lse


def backward(
    dout: Tensor,
    dlse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale: Tensor | None = None,
    dkdv_config: Config | None = None,
    dq_config: Config | None = None,
    delta_config: Config | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v."""
    delta = backward_delta(dout, dlse, out, delta_config)
    arguments = (q, k, v, dout, lse, delta, cu_seqlens, softmax_scale, segment_scale)
    return backward_dq(*arguments, dq_config), *backward_dkdv(*arguments, dkdv_config)


def backward_delta(dout: Tensor, dlse: Tensor, out: Tensor, config: Config | None = None) -> Tensor:
    """``rowsum(dout * out) - dlse`` as (N, L) in float32."""
    num_tokens, num_heads, head_dim = out.shape
    config = config or find_config("attention.backward_delta", head_dim, out.dtype, out.device)
    dout, out, dlse = _rows(dout), _rows(out), dlse.float().contiguous()
    delta = dlse.new_empty(dlse.shape)
    if num_tokens:
        with torch.cuda.device_of(out):
            _delta_kernel[(triton.cdiv(num_tokens, config["BLOCK_M"]) * num_heads,)](
                out,
                dout,
                dlse,
                delta,
                out.stride(0),
                dout.stride(0),
                num_tokens,
                N=num_heads,
                H=head_dim,
                BLOCK_H=triton.next_power_of_2(head_dim),
                **config,
            )
    return delta


def backward_dkdv(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dout: Tensor,
    lse: Tensor,
    delta: Tensor,
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale: Tensor | None = None,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """The gradients of k and v, summed over the query heads of a group."""
    dk, dv = k.new_empty(k.shape), v.new_empty(v.shape)
    config = config or find_config("attention.backward_dkdv", q.shape[2], q.dtype, q.device)
    tiles, others = _Tiles(k.shape[1], config["BLOCK_N"]), (lse.contiguous(), delta, dk, dv)
    _launch(_dkdv_kernel, tiles, config, (q, k, v, dout), cu_seqlens, softmax_scale, segment_scale, others)
    return dk, dv


def backward_dq(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dout: Tensor,
    lse: Tensor,
    delta: Tensor,
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale: Tensor | None = None,
    config: Config | None = None,
) -> Tensor:
    """The gradient of q."""
    dq = q.new_empty(q.shape)
    config = config or find_config("attention.backward_dq", q.shape[2], q.dtype, q.device)
    tiles, others = _Tiles(q.shape[1], config["BLOCK_M"]), (lse.contiguous(), delta, dq)
    _launch(_dq_kernel, tiles, config, (q, k, v, dout), cu_seqlens, softmax_scale, segment_scale, others)
    return dq


class _Tiles(NamedTuple):
    """What the programs of a kernel own: this many rows of each segment, for each of this many heads."""

    heads: int
    rows: int


def _launch(
    kernel: Any,
    tiles: _Tiles,
    config: Config,
    inputs: tuple[Tensor, ...],
    cu_seqlens: Tensor,
    softmax_scale: float,
    segment_scale: Tensor | None,
    others: tuple[Tensor, ...],
) -> None:
    """Run a kernel with a program for each tile, or with PROGRAMS_PER_SM of them going over all tiles.

    Descriptors are made in memory that Triton asks for at the launch. The allocator is set in a copy of the context, so
    that a caller's own stays as it is.
    """
    q, k = inputs[:2]
    num_segments, (num_tokens, num_heads, head_dim) = cu_seqlens.shape[0] - 1, q.shape
    if not num_tokens:
        return
    inputs = tuple(_rows(x.to(q.dtype)) for x in inputs)
    low, high = HEAD_SLABS[head_dim]
    constants = {"N": num_heads, "G": k.shape[1], "H0": low, "H1": high, **config}
    programs = tiles.heads * max_tiles(num_tokens, num_segments, tiles.rows)
    if per_sm := constants.pop("PROGRAMS_PER_SM"):
        programs = min(programs, per_sm * _num_multiprocessors(q.device))

    def launch() -> None:
        triton.set_allocator(lambda size, alignment, stream: q.new_empty(size, dtype=torch.int8))
        kernel[(programs,)](
            *inputs,
            cu_seqlens.contiguous(),
            None if segment_scale is None else segment_scale.contiguous(),
            *others,
            *(x.stride(0) for x in inputs),
            softmax_scale,
            num_tokens,
            num_segments,
            search_steps(num_segments),
            **constants,
        )

    with torch.cuda.device_of(q):
        contextvars.copy_context().run(launch)


def _rows(x: Tensor) -> Tensor:
    """The tensor, copied unless its heads lie side by side and every row is aligned to 16 bytes.

    A row begins at a 64-bit offset from the tensor and at a 32-bit one from its tile, hence the upper limit.
    """
    side_by_side = x.stride()[1:] == (x.shape[2], 1) and x.shape[1] * x.shape[2] <= x.stride(0) < MAX_ROW_STRIDE
    aligned = x.data_ptr() % 16 == 0 and x.stride(0) * x.element_size() % 16 == 0
    return x if side_by_side and aligned else x.clone(memory_format=torch.contiguous_format)


def _num_multiprocessors(device: torch.device) -> int:
    """Of a GPU; the interpreter runs one program after another."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
