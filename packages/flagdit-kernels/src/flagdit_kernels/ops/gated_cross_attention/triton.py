"""Gated attention to the text in Triton, added to the attention output.

    out + tanh(gate[n]) * softmax(q k^T / sqrt(H), where mask) v

Forward is one kernel: it reads q and ``out`` and writes the result, 6 bytes per value of (L, N, H) in half precision,
and 4 L N H T FLOPs; keys and values of a head are small and come from the second-level cache. Keys after the last one
present are never read, so a short prompt in a long text costs what a short text would.

Backward saves nothing: the sum that the softmax's gradient subtracts, ``dout . text``, needs ``text``, which only a
pass over the keys gives back, and that pass finds the log-sum-exp on its way. A stored log-sum-exp would spare no
product. ``_dq_kernel`` (10 L N H T FLOPs with its recomputed scores) makes that pass, keeps both sums per query for
``_dkdv_kernel`` (8 L N H T FLOPs), and reads q and dout and writes dq: 6 bytes per value, then 4 to read both again.

A program of ``_dkdv_kernel`` owns (segment, query head, block of keys, share of the segment's queries); its sums in
float32 are added over shares and over the heads of a group in a fixed order: deterministic, no atomics. There are just
enough shares that few segments still fill a GPU, each long enough that the buffer of partial sums costs little.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.backends import HEAD_SLABS
from flagdit_kernels.configs import Config, find_config
from flagdit_kernels.triton_segments import find_tile, max_tiles, search_steps
from flagdit_kernels.triton_slabs import add_product, load_slabs, row_products, scale_slabs, store_slabs, zero_slabs

LOG2_E = tl.constexpr(1.4426950408889634)
# Finite, so that the difference of two maxima is never NaN, and below any score.
LOWEST = tl.constexpr(-1e38)
# Keys whose mask is read at once where the end of the text is looked for.
BLOCK_MASK = tl.constexpr(256)
# Compiled once for all lengths and numbers of segments.
SIZES = ["num_tokens", "num_segments", "num_steps", "num_shares"]


@triton.jit
def _tanh(x):
    """The tanh of a scalar to float32 precision, relative also near 0 where gates begin."""
    square = x * x
    series = x * (1 + square * (-1 / 3 + square * (2 / 15 + square * (-17 / 315 + square * (62 / 2835)))))
    small = tl.exp(-2 * tl.abs(x))
    quotient = (1 - small) / (1 + small)
    return tl.where(square < 0.0625, series, tl.where(x < 0, -quotient, quotient))


@triton.jit
def _add_slabs(x, y):
    """``x + y`` in float32."""
    if len(x) == 1:
        return (x[0].to(tl.float32) + y[0],)
    else:  # noqa: RET505 - Triton compiles both returns otherwise
        return x[0].to(tl.float32) + y[0], x[1].to(tl.float32) + y[1]


@triton.jit
def _end_of_text(MASK_ROW, num_keys):
    """The key after the last one present; 0 for a fully masked text."""
    end = 0
    for first in range(0, num_keys, BLOCK_MASK):
        key = first + tl.arange(0, BLOCK_MASK)
        present = tl.load(MASK_ROW + key, mask=key < num_keys, other=0) != 0
        end = tl.maximum(end, tl.max(tl.where(present, key + 1, 0), 0))
    return end


@triton.jit
def _key_bias(MASK_ROW, first, num_keys, BLOCK_N: tl.constexpr):
    """What is added to the scores of a block of keys: 0, or -inf for one that is not there."""
    key = first + tl.arange(0, BLOCK_N)
    present = tl.load(MASK_ROW + key, mask=key < num_keys, other=0) != 0
    return tl.where(present, 0.0, float("-inf"))


@triton.jit(do_not_specialize=SIZES)
def _forward_kernel(
    OUT,
    Q,
    K,
    V,
    GATE,
    MASK,
    CU_SEQLENS,
    RESULT,
    out_token_stride,
    out_head_stride,
    q_token_stride,
    q_head_stride,
    k_segment_stride,
    k_token_stride,
    k_head_stride,
    v_segment_stride,
    v_token_stride,
    v_head_stride,
    num_segments,
    num_steps,
    num_heads,
    group_size,
    num_keys,
    softmax_scale,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    tile, head = tl.program_id(0) // num_heads, (tl.program_id(0) % num_heads).to(tl.int64)
    segment, _, stop, start = find_tile(CU_SEQLENS, tile, num_segments, num_steps, BLOCK_M)
    if start < stop:
        Q += head * q_head_stride
        q = load_slabs((q_token_stride, Q), start, stop, 0, BLOCK_M, H0, H1, False, True)
        text, key_head = segment.to(tl.int64), head // group_size
        K += text * k_segment_stride + key_head * k_head_stride
        V += text * v_segment_stride + key_head * v_head_stride
        MASK += text * num_keys
        maximum = tl.full([BLOCK_M], LOWEST, tl.float32)
        total = tl.zeros([BLOCK_M], tl.float32)
        sums = zero_slabs(BLOCK_M, H0, H1)
        for first in tl.range(0, _end_of_text(MASK, num_keys), BLOCK_N):
            k = load_slabs((k_token_stride, K), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
            bias = _key_bias(MASK, first, num_keys, BLOCK_N)
            scores = row_products(q, k) * (softmax_scale * LOG2_E) + bias[None, :]
            new_maximum = tl.maximum(maximum, tl.max(scores, 1))
            probs = tl.exp2(scores - new_maximum[:, None])
            shrink = tl.exp2(maximum - new_maximum)
            maximum, total = new_maximum, total * shrink + tl.sum(probs, 1)
            v = load_slabs((v_token_stride, V), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
            sums = add_product(scale_slabs(sums, shrink[:, None]), probs, v)
        total = tl.where(total > 0, total, float("inf"))  # without any key
        sums = scale_slabs(sums, (_tanh(tl.load(GATE + head).to(tl.float32)) / total)[:, None])
        OUT += head * out_head_stride
        out = load_slabs((out_token_stride, OUT), start, stop, 0, BLOCK_M, H0, H1, False, True)
        RESULT += head * (H0 + H1)
        store_slabs(RESULT, _add_slabs(out, sums), num_heads * (H0 + H1), start, stop, 0, BLOCK_M, H0, H1)


@triton.jit(do_not_specialize=SIZES)
def _dq_kernel(
    DOUT,
    Q,
    K,
    V,
    GATE,
    MASK,
    CU_SEQLENS,
    DQ,
    LSE,
    DELTA,
    dout_token_stride,
    dout_head_stride,
    q_token_stride,
    q_head_stride,
    k_segment_stride,
    k_token_stride,
    k_head_stride,
    v_segment_stride,
    v_token_stride,
    v_head_stride,
    num_tokens,
    num_segments,
    num_steps,
    num_heads,
    group_size,
    num_keys,
    softmax_scale,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """The gradient of a block of queries; and per query the base-2 log-sum-exp and ``dout . text``, as (N, L)."""
    tile, head = tl.program_id(0) // num_heads, (tl.program_id(0) % num_heads).to(tl.int64)
    segment, _, stop, start = find_tile(CU_SEQLENS, tile, num_segments, num_steps, BLOCK_M)
    if start < stop:
        Q += head * q_head_stride
        q = load_slabs((q_token_stride, Q), start, stop, 0, BLOCK_M, H0, H1, False, True)
        DOUT += head * dout_head_stride
        dout = load_slabs((dout_token_stride, DOUT), start, stop, 0, BLOCK_M, H0, H1, False, True)
        text, key_head = segment.to(tl.int64), head // group_size
        K += text * k_segment_stride + key_head * k_head_stride
        V += text * v_segment_stride + key_head * v_head_stride
        MASK += text * num_keys
        end = _end_of_text(MASK, num_keys)
        maximum = tl.full([BLOCK_M], LOWEST, tl.float32)
        total = tl.zeros([BLOCK_M], tl.float32)
        delta = tl.zeros([BLOCK_M], tl.float32)
        for first in tl.range(0, end, BLOCK_N):
            k = load_slabs((k_token_stride, K), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
            bias = _key_bias(MASK, first, num_keys, BLOCK_N)
            scores = row_products(q, k) * (softmax_scale * LOG2_E) + bias[None, :]
            new_maximum = tl.maximum(maximum, tl.max(scores, 1))
            probs = tl.exp2(scores - new_maximum[:, None])
            shrink = tl.exp2(maximum - new_maximum)
            maximum, total = new_maximum, total * shrink + tl.sum(probs, 1)
            v = load_slabs((v_token_stride, V), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
            delta = delta * shrink + tl.sum(probs * row_products(dout, v), 1)
        total = tl.where(total > 0, total, float("inf"))  # without any key
        delta, lse = delta / total, maximum + tl.log2(total)
        row = start + tl.arange(0, BLOCK_M)
        tl.store(DELTA + head * num_tokens + row, delta, mask=row < stop)
        tl.store(LSE + head * num_tokens + row, lse, mask=row < stop)
        dq = zero_slabs(BLOCK_M, H0, H1)
        for first in tl.range(0, end, BLOCK_N):
            k = load_slabs((k_token_stride, K), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
            bias = _key_bias(MASK, first, num_keys, BLOCK_N)
            probs = tl.exp2(row_products(q, k) * (softmax_scale * LOG2_E) + bias[None, :] - lse[:, None])
            v = load_slabs((v_token_stride, V), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
            dq = add_product(dq, probs * (row_products(dout, v) - delta[:, None]), k)
        dq = scale_slabs(dq, softmax_scale * _tanh(tl.load(GATE + head).to(tl.float32)))
        DQ += head * (H0 + H1)
        store_slabs(DQ, dq, num_heads * (H0 + H1), start, stop, 0, BLOCK_M, H0, H1)


@triton.jit(do_not_specialize=SIZES)
def _dkdv_kernel(
    DOUT,
    Q,
    K,
    V,
    GATE,
    MASK,
    CU_SEQLENS,
    LSE,
    DELTA,
    DK,
    DV,
    dout_token_stride,
    dout_head_stride,
    q_token_stride,
    q_head_stride,
    k_segment_stride,
    k_token_stride,
    k_head_stride,
    v_segment_stride,
    v_token_stride,
    v_head_stride,
    num_tokens,
    num_segments,
    num_shares,
    num_heads,
    group_size,
    num_keys,
    softmax_scale,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """The gradient of a block of keys and values from one query head's share of queries, as (S, B, T, N, H)."""
    key_blocks = tl.cdiv(num_keys, BLOCK_N)
    first, rest = tl.program_id(0) % key_blocks * BLOCK_N, tl.program_id(0) // key_blocks
    head, rest = (rest % num_heads).to(tl.int64), rest // num_heads
    share, text = rest % num_shares, (rest // num_shares).to(tl.int64)
    K += text * k_segment_stride + head // group_size * k_head_stride
    V += text * v_segment_stride + head // group_size * v_head_stride
    k = load_slabs((k_token_stride, K), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
    v = load_slabs((v_token_stride, V), first, num_keys, 0, BLOCK_N, H0, H1, False, True)
    bias = _key_bias(MASK + text * num_keys, first, num_keys, BLOCK_N)

    start, stop = tl.load(CU_SEQLENS + text), tl.load(CU_SEQLENS + text + 1)
    share_size = tl.cdiv(tl.cdiv(stop - start, num_shares), BLOCK_M) * BLOCK_M
    start = tl.minimum(start + share * share_size, stop)
    stop = tl.minimum(start + share_size, stop)
    stop = tl.where(tl.max(bias, 0) == 0, stop, start)  # keys that are all masked have no gradient
    Q += head * q_head_stride
    DOUT += head * dout_head_stride
    LSE += head * num_tokens
    DELTA += head * num_tokens
    dk, dv = zero_slabs(BLOCK_N, H0, H1), zero_slabs(BLOCK_N, H0, H1)
    for token in tl.range(start, stop, BLOCK_M):
        row = token + tl.arange(0, BLOCK_M)
        q = load_slabs((q_token_stride, Q), token, stop, 0, BLOCK_M, H0, H1, False, True)
        lse = tl.load(LSE + row, mask=row < stop, other=float("inf"))
        probs = tl.exp2(row_products(k, q) * (softmax_scale * LOG2_E) + bias[:, None] - lse[None, :])
        dout = load_slabs((dout_token_stride, DOUT), token, stop, 0, BLOCK_M, H0, H1, False, True)
        dv = add_product(dv, probs, dout)
        delta = tl.load(DELTA + row, mask=row < stop, other=0.0)
        dk = add_product(dk, probs * (row_products(v, dout) - delta[None, :]), q)

    factor = _tanh(tl.load(GATE + head).to(tl.float32))
    offset = ((share * num_segments + text) * num_keys * num_heads + head) * (H0 + H1)
    stride = num_heads * (H0 + H1)
    store_slabs(DK + offset, scale_slabs(dk, factor * softmax_scale), stride, first, num_keys, 0, BLOCK_N, H0, H1)
    store_slabs(DV + offset, scale_slabs(dv, factor), stride, first, num_keys, 0, BLOCK_N, H0, H1)


@triton.jit(do_not_specialize=SIZES)
def _sum_kernel(DK_PARTIAL, DV_PARTIAL, DK, DV, size, num_shares, group_size, H: tl.constexpr, BLOCK: tl.constexpr):
    """Add up shares (S, size / H, group_size, H) into (size / H, H), in float32."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = index < size
    dk = tl.zeros([BLOCK], dtype=tl.float32)
    dv = tl.zeros([BLOCK], dtype=tl.float32)
    for share in range(num_shares):
        for member in range(group_size):
            offset = ((share * (size // H) + index // H) * group_size + member) * H + index % H
            dk += tl.load(DK_PARTIAL + offset, mask=mask, other=0.0)
            dv += tl.load(DV_PARTIAL + offset, mask=mask, other=0.0)
    tl.store(DK + index, dk.to(DK.dtype.element_ty), mask=mask)
    tl.store(DV + index, dv.to(DV.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=SIZES)
def _dgate_kernel(DELTA, GATE, DGATE, num_tokens, BLOCK: tl.constexpr):
    """A head's sum of ``dout . text``, times the derivative of tanh."""
    head = tl.program_id(0).to(tl.int64)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for first in range(0, num_tokens, BLOCK):
        token = first + tl.arange(0, BLOCK)
        total += tl.load(DELTA + head * num_tokens + token, mask=token < num_tokens, other=0.0)
    factor = _tanh(tl.load(GATE + head).to(tl.float32))
    dgate = tl.sum(total, 0) * (1 - factor) * (1 + factor)
    tl.store(DGATE + head, dgate.to(DGATE.dtype.element_ty))


def forward(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    config: Config | None = None,
) -> Tensor:
    """``out + tanh(gate) * softmax(q k^T / sqrt(H), where mask) v``, a new tensor."""
    out, q, k, v = (_rows(x) for x in (out, q, k.to(q.dtype), v.to(q.dtype)))
    num_segments, width = k.shape[0], q.shape[2]
    config = config or find_config("gated_cross_attention.forward", width, q.dtype, q.device)
    result = out.new_empty(out.shape)
    grid = (max_tiles(q.shape[0], num_segments, config["BLOCK_M"]) * q.shape[1],)
    with torch.cuda.device_of(q):
        _forward_kernel[grid](
            out,
            q,
            k,
            v,
            gate.contiguous(),
            mask.contiguous(),
            cu_seqlens.contiguous(),
            result,
            *out.stride()[:2],
            *q.stride()[:2],
            *k.stride()[:3],
            *v.stride()[:3],
            num_segments,
            search_steps(num_segments),
            *_sizes(q, k),
            **_slabs(width),
            **config,
        )
    return result


def backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    mask: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    dq_config: Config | None = None,
    dkdv_config: Config | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and gate; that of ``out`` is ``dout`` itself."""
    gate, mask = gate.contiguous(), mask.contiguous()
    dq, dgate, dk, dv = q.new_empty(q.shape), gate.new_empty(gate.shape), k.new_empty(k.shape), v.new_empty(v.shape)
    dout, q, k, v = (_rows(x.to(q.dtype)) for x in (dout, q, k, v))
    (num_tokens, num_heads, width), (num_segments, num_keys, num_kv_heads, _) = q.shape, k.shape
    dq_config = dq_config or find_config("gated_cross_attention.backward_dq", width, q.dtype, q.device)
    dkdv_config = dkdv_config or find_config("gated_cross_attention.backward_dkdv", width, q.dtype, q.device)
    inputs = (dout, q, k, v, gate, mask, cu_seqlens.contiguous())
    strides = (*dout.stride()[:2], *q.stride()[:2], *k.stride()[:3], *v.stride()[:3])
    slabs = _slabs(width)
    lse, delta = q.new_empty(2, num_heads, num_tokens, dtype=torch.float32)
    constants = dict(dkdv_config)
    programs = num_segments * num_heads * triton.cdiv(num_keys, constants["BLOCK_N"])
    enough = triton.cdiv(constants.pop("MIN_PROGRAMS"), max(programs, 1))
    num_shares = max(min(enough, max_seqlen // constants.pop("MIN_QUERIES")), 1)
    # A single share of ungrouped heads is the gradient itself, in its own layout.
    is_partial = num_shares > 1 or num_heads > num_kv_heads
    shape = (2, num_shares, num_segments, num_keys, num_heads, width)
    dk_part, dv_part = q.new_empty(shape, dtype=torch.float32) if is_partial else (dk, dv)
    with torch.cuda.device_of(q):
        _dq_kernel[(max_tiles(num_tokens, num_segments, dq_config["BLOCK_M"]) * num_heads,)](
            *inputs,
            dq,
            lse,
            delta,
            *strides,
            num_tokens,
            num_segments,
            search_steps(num_segments),
            *_sizes(q, k),
            **slabs,
            **dq_config,
        )
        _dgate_kernel[(num_heads,)](delta, gate, dgate, num_tokens, BLOCK=4096, num_warps=8)
        _dkdv_kernel[(programs * num_shares,)](
            *inputs,
            lse,
            delta,
            dk_part,
            dv_part,
            *strides,
            num_tokens,
            num_segments,
            num_shares,
            *_sizes(q, k),
            **slabs,
            **constants,
        )
        if is_partial:
            grid, group_size = (triton.cdiv(dk.numel(), 1024),), num_heads // num_kv_heads
            _sum_kernel[grid](dk_part, dv_part, dk, dv, dk.numel(), num_shares, group_size, H=width, BLOCK=1024)
    return dq, dk, dv, dgate


def _sizes(q: Tensor, k: Tensor) -> tuple[int, int, int, float]:
    """Query heads, query heads for each key head, keys, and the scale of the softmax."""
    return q.shape[1], q.shape[1] // k.shape[2], k.shape[1], q.shape[2] ** -0.5


def _rows(x: Tensor) -> Tensor:
    """The tensor, copied only where a head is not contiguous."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _slabs(width: int) -> dict[str, int]:
    """The head's width as two slabs; here 128 is two of 64, which takes 30 to 50 registers fewer than one."""
    low, high = (64, 64) if width == 128 else HEAD_SLABS[width]
    return {"H0": low, "H1": high}
