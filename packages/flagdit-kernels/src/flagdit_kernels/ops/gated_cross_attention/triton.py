"""Gated attention to the text in Triton, added to the attention output.

    out + tanh(gate[n]) * softmax(q k^T / sqrt(H), where mask) v

Forward is one kernel: it reads q and ``out`` and writes the result, 6 bytes per value of (L, N, H) in half precision,
and 4 L N H T FLOPs; keys and values of a head are small and come from the second-level cache. Keys after the last one
present are never read, so a short prompt in a long text costs what a short text would.

Backward saves nothing: the sum that the softmax's gradient subtracts, ``dout . text``, needs ``text``, which only a
pass over the keys gives back, and that pass finds the log-sum-exp on its way. A stored log-sum-exp would spare no
product. ``_dq_kernel`` (12 L N H T FLOPs with its recomputed scores) makes that pass, keeps both sums per query for
``_dkdv_kernel`` (8 L N H T FLOPs), and reads q and dout and writes dq: 6 bytes per value, then 4 to read both again.

A program of ``_dkdv_kernel`` owns (segment, query head, block of keys, share of the segment's queries); its sums in
float32 are added over shares and over the heads of a group in a fixed order: deterministic, no atomics. There are just
enough shares that few segments still fill a GPU, so that the buffer of partial sums stays small.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,misc"

import torch
import triton
import triton.language as tl
from torch import Tensor

from flagdit_kernels.configs import Config, find_config
from flagdit_kernels.triton_segments import locate_tile, max_tiles

LOG2_E = tl.constexpr(1.4426950408889634)
# Below every score that float32 products of finite half-precision values give, and finite: a difference is never NaN.
LOWEST = tl.constexpr(-1e38)
BLOCK_MASK = tl.constexpr(256)


@triton.jit
def _tanh(x):
    """The tanh of a scalar to float32 precision, relative also near 0 where gates begin."""
    square = x * x
    series = x * (1 + square * (-1 / 3 + square * (2 / 15 + square * (-17 / 315 + square * (62 / 2835)))))
    small = tl.exp(-2 * tl.abs(x))
    quotient = (1 - small) / (1 + small)
    return tl.where(square < 0.0625, series, tl.where(x < 0, -quotient, quotient))


@triton.jit
def _load_rows(X, stride, row, inside, H0: tl.constexpr, H1: tl.constexpr):
    """Rows of H0 + H1 channels as two slabs, 0 outside; with H1 = 0 the second is the first."""
    low = X + row[:, None] * stride + tl.arange(0, H0)[None, :]
    x0 = tl.load(low, mask=inside[:, None], other=0.0)
    x1 = x0
    if H1 > 0:
        high = X + row[:, None] * stride + (H0 + tl.arange(0, H1))[None, :]
        x1 = tl.load(high, mask=inside[:, None], other=0.0)
    return x0, x1


@triton.jit
def _store_rows(X, stride, row, inside, x0, x1, H0: tl.constexpr, H1: tl.constexpr):
    """Store what `_load_rows` would load, rounded to the tensor's dtype."""
    low = X + row[:, None] * stride + tl.arange(0, H0)[None, :]
    tl.store(low, x0.to(X.dtype.element_ty), mask=inside[:, None])
    if H1 > 0:
        high = X + row[:, None] * stride + (H0 + tl.arange(0, H1))[None, :]
        tl.store(high, x1.to(X.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _zero_rows(BLOCK: tl.constexpr, H0: tl.constexpr, H1: tl.constexpr):
    """Two slabs of zeros in float32."""
    x0 = tl.zeros([BLOCK, H0], dtype=tl.float32)
    x1 = x0
    if H1 > 0:
        x1 = tl.zeros([BLOCK, H1], dtype=tl.float32)
    return x0, x1


@triton.jit
def _products(a0, a1, b0, b1, H1: tl.constexpr):
    """The product of each row of a with each row of b."""
    product = tl.dot(a0, b0.T, input_precision="ieee")
    if H1 > 0:
        product = tl.dot(a1, b1.T, product, input_precision="ieee")
    return product


@triton.jit
def _add_weighted(weight, x0, x1, sum0, sum1, H1: tl.constexpr):
    """The sums with ``weight @ x`` added, weight rounded to x's dtype."""
    weight = weight.to(x0.dtype)
    sum0 = tl.dot(weight, x0, sum0, input_precision="ieee")
    if H1 > 0:
        sum1 = tl.dot(weight, x1, sum1, input_precision="ieee")
    return sum0, sum1


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
def _key_bias(MASK_ROW, key, num_keys):
    """What is added to the scores of keys: 0, or -inf for one that is not there."""
    present = tl.load(MASK_ROW + key, mask=key < num_keys, other=0) != 0
    return tl.where(present, 0.0, float("-inf"))


@triton.jit
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
    num_heads,
    group_size,
    num_keys,
    softmax_scale,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    tile, head = tl.program_id(0) // num_heads, (tl.program_id(0) % num_heads).to(tl.int64)
    segment, start, stop = locate_tile(CU_SEQLENS, tile, num_segments, BLOCK_M, BLOCK_B)
    if start < stop:
        row, token, segment = tl.arange(0, BLOCK_M), start.to(tl.int64), segment.to(tl.int64)
        inside = start + row < stop
        q0, q1 = _load_rows(Q + token * q_token_stride + head * q_head_stride, q_token_stride, row, inside, H0, H1)
        K += segment * k_segment_stride + head // group_size * k_head_stride
        V += segment * v_segment_stride + head // group_size * v_head_stride
        MASK += segment * num_keys
        highest = tl.full([BLOCK_M], LOWEST, dtype=tl.float32)
        total = tl.zeros([BLOCK_M], dtype=tl.float32)
        text0, text1 = _zero_rows(BLOCK_M, H0, H1)
        end = _end_of_text(MASK, num_keys)
        for first in tl.range(0, end, BLOCK_N):
            key = first + tl.arange(0, BLOCK_N)
            k0, k1 = _load_rows(K, k_token_stride, key, key < num_keys, H0, H1)
            v0, v1 = _load_rows(V, v_token_stride, key, key < num_keys, H0, H1)
            scores = _products(q0, q1, k0, k1, H1) * (softmax_scale * LOG2_E) + _key_bias(MASK, key, num_keys)[None, :]
            higher = tl.maximum(highest, tl.max(scores, 1))
            probs = tl.exp2(scores - higher[:, None])
            shrink = tl.exp2(highest - higher)
            highest = higher
            total = total * shrink + tl.sum(probs, 1)
            text0 *= shrink[:, None]
            if H1 > 0:
                text1 *= shrink[:, None]
            text0, text1 = _add_weighted(probs, v0, v1, text0, text1, H1)
        total = tl.where(total > 0, total, float("inf"))  # without any key
        factor = _tanh(tl.load(GATE + head).to(tl.float32)) / total[:, None]
        OUT += token * out_token_stride + head * out_head_stride
        out0, out1 = _load_rows(OUT, out_token_stride, row, inside, H0, H1)
        result0, result1 = out0.to(tl.float32) + factor * text0, out0
        if H1 > 0:
            result1 = out1.to(tl.float32) + factor * text1
        RESULT += (token * num_heads + head) * (H0 + H1)
        _store_rows(RESULT, num_heads * (H0 + H1), row, inside, result0, result1, H0, H1)


@triton.jit
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
    num_heads,
    group_size,
    num_keys,
    softmax_scale,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """The gradient of a block of queries; and per query the base-2 log-sum-exp and ``dout . text``, as (N, L)."""
    tile, head = tl.program_id(0) // num_heads, (tl.program_id(0) % num_heads).to(tl.int64)
    segment, start, stop = locate_tile(CU_SEQLENS, tile, num_segments, BLOCK_M, BLOCK_B)
    if start < stop:
        row, token, segment = tl.arange(0, BLOCK_M), start.to(tl.int64), segment.to(tl.int64)
        inside = start + row < stop
        Q += token * q_token_stride + head * q_head_stride
        DOUT += token * dout_token_stride + head * dout_head_stride
        q0, q1 = _load_rows(Q, q_token_stride, row, inside, H0, H1)
        dout0, dout1 = _load_rows(DOUT, dout_token_stride, row, inside, H0, H1)
        K += segment * k_segment_stride + head // group_size * k_head_stride
        V += segment * v_segment_stride + head // group_size * v_head_stride
        MASK += segment * num_keys
        highest = tl.full([BLOCK_M], LOWEST, dtype=tl.float32)
        total = tl.zeros([BLOCK_M], dtype=tl.float32)
        delta = tl.zeros([BLOCK_M], dtype=tl.float32)
        end = _end_of_text(MASK, num_keys)
        for first in tl.range(0, end, BLOCK_N):
            key = first + tl.arange(0, BLOCK_N)
            k0, k1 = _load_rows(K, k_token_stride, key, key < num_keys, H0, H1)
            v0, v1 = _load_rows(V, v_token_stride, key, key < num_keys, H0, H1)
            scores = _products(q0, q1, k0, k1, H1) * (softmax_scale * LOG2_E) + _key_bias(MASK, key, num_keys)[None, :]
            higher = tl.maximum(highest, tl.max(scores, 1))
            probs = tl.exp2(scores - higher[:, None])
            shrink = tl.exp2(highest - higher)
            highest = higher
            total = total * shrink + tl.sum(probs, 1)
            delta = delta * shrink + tl.sum(probs * _products(dout0, dout1, v0, v1, H1), 1)
        total = tl.where(total > 0, total, float("inf"))  # without any key
        delta /= total
        lse = highest + tl.log2(total)
        tl.store(DELTA + head * num_tokens + token + row, delta, mask=inside)
        tl.store(LSE + head * num_tokens + token + row, lse, mask=inside)
        dq0, dq1 = _zero_rows(BLOCK_M, H0, H1)
        for first in tl.range(0, end, BLOCK_N):
            key = first + tl.arange(0, BLOCK_N)
            k0, k1 = _load_rows(K, k_token_stride, key, key < num_keys, H0, H1)
            v0, v1 = _load_rows(V, v_token_stride, key, key < num_keys, H0, H1)
            scores = _products(q0, q1, k0, k1, H1) * (softmax_scale * LOG2_E) + _key_bias(MASK, key, num_keys)[None, :]
            dscores = tl.exp2(scores - lse[:, None]) * (_products(dout0, dout1, v0, v1, H1) - delta[:, None])
            dq0, dq1 = _add_weighted(dscores, k0, k1, dq0, dq1, H1)
        factor = softmax_scale * _tanh(tl.load(GATE + head).to(tl.float32))
        DQ += (token * num_heads + head) * (H0 + H1)
        _store_rows(DQ, num_heads * (H0 + H1), row, inside, dq0 * factor, dq1 * factor, H0, H1)


@triton.jit
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
    num_heads,
    group_size,
    num_keys,
    softmax_scale,
    num_shares,
    H0: tl.constexpr,
    H1: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """The gradient of a block of keys and values from one query head's share of queries, as (S, B, T, N, H)."""
    key_blocks = tl.cdiv(num_keys, BLOCK_N)
    block, rest = tl.program_id(0) % key_blocks, tl.program_id(0) // key_blocks
    head, rest = (rest % num_heads).to(tl.int64), rest // num_heads
    share, segment = rest % num_shares, (rest // num_shares).to(tl.int64)

    key, row = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_M)
    first_key = (block * BLOCK_N).to(tl.int64)
    inside = key < num_keys - block * BLOCK_N
    K += segment * k_segment_stride + first_key * k_token_stride + head // group_size * k_head_stride
    V += segment * v_segment_stride + first_key * v_token_stride + head // group_size * v_head_stride
    k0, k1 = _load_rows(K, k_token_stride, key, inside, H0, H1)
    v0, v1 = _load_rows(V, v_token_stride, key, inside, H0, H1)
    bias = _key_bias(MASK + segment * num_keys, block * BLOCK_N + key, num_keys)

    begin, end = tl.load(CU_SEQLENS + segment), tl.load(CU_SEQLENS + segment + 1)
    share_size = tl.cdiv(tl.cdiv(end - begin, num_shares), BLOCK_M) * BLOCK_M
    begin = tl.minimum(begin + share * share_size, end)
    end = tl.minimum(begin + share_size, end)
    end = tl.where(tl.max(bias, 0) == 0, end, begin)  # keys that are all masked have no gradient
    Q += head * q_head_stride
    DOUT += head * dout_head_stride
    LSE += head * num_tokens
    DELTA += head * num_tokens
    dk0, dk1 = _zero_rows(BLOCK_N, H0, H1)
    dv0, dv1 = _zero_rows(BLOCK_N, H0, H1)
    for start in tl.range(begin, end, BLOCK_M):
        token, valid = tl.cast(start, tl.int64), start + row < end
        q0, q1 = _load_rows(Q + token * q_token_stride, q_token_stride, row, valid, H0, H1)
        dout0, dout1 = _load_rows(DOUT + token * dout_token_stride, dout_token_stride, row, valid, H0, H1)
        lse = tl.load(LSE + token + row, mask=valid, other=float("inf"))
        delta = tl.load(DELTA + token + row, mask=valid, other=0.0)
        scores = _products(k0, k1, q0, q1, H1) * (softmax_scale * LOG2_E) + bias[:, None]
        probs = tl.exp2(scores - lse[None, :])
        dv0, dv1 = _add_weighted(probs, dout0, dout1, dv0, dv1, H1)
        dscores = probs * (_products(v0, v1, dout0, dout1, H1) - delta[None, :])
        dk0, dk1 = _add_weighted(dscores, q0, q1, dk0, dk1, H1)

    factor = _tanh(tl.load(GATE + head).to(tl.float32))
    offset = (((share * num_segments + segment) * num_keys + first_key) * num_heads + head) * (H0 + H1)
    stride = num_heads * (H0 + H1)
    _store_rows(DK + offset, stride, key, inside, dk0 * (factor * softmax_scale), dk1 * (factor * softmax_scale), H0, H1)
    _store_rows(DV + offset, stride, key, inside, dv0 * factor, dv1 * factor, H0, H1)


@triton.jit
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


@triton.jit
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
            cu_seqlens,
            result,
            *out.stride()[:2],
            *q.stride()[:2],
            *k.stride()[:3],
            *v.stride()[:3],
            num_segments,
            *_sizes(q, k),
            **_slabs(width),
            BLOCK_B=_block_b(num_segments),
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
    inputs = (dout, q, k, v, gate, mask, cu_seqlens)
    strides = (*dout.stride()[:2], *q.stride()[:2], *k.stride()[:3], *v.stride()[:3])
    slabs = _slabs(width)
    lse, delta = q.new_empty(2, num_heads, num_tokens, dtype=torch.float32)
    constants = dict(dkdv_config)
    programs = num_segments * num_heads * triton.cdiv(num_keys, constants["BLOCK_N"])
    num_shares = triton.cdiv(constants.pop("MIN_PROGRAMS"), max(programs, 1))
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
            *_sizes(q, k),
            **slabs,
            BLOCK_B=_block_b(num_segments),
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
            *_sizes(q, k),
            num_shares,
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
    """The head's width as two powers of two, the second of them 0 where it is one."""
    low = triton.next_power_of_2(width // 2 + 1)
    return {"H0": low, "H1": width - low}


def _block_b(num_segments: int) -> int:
    """A power of two that holds all segments."""
    return triton.next_power_of_2(max(num_segments, 1))
