"""KQ-norm over the full width and interleaved rotary embedding, from the fused projection's output."""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from flagdit_kernels.backends import Backend, resolve
from flagdit_kernels.checks import check_shape, check_tokens
from flagdit_kernels.ops.qk_norm_rope import reference


def qk_norm_rope(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    *,
    num_heads: int,
    num_kv_heads: int,
    eps: float = 1e-5,
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``RoPE(norm(q))``, ``RoPE(norm(k))`` and v, with heads split; v is a view of qkv unless gradients flow.

    The norm runs over the full width of all heads, before they are split: LayerNorm where weight and bias are given,
    RMSNorm where only the weight is, none where neither is (KQ-norm of Flag-DiT, arXiv 2405.05945, section 2). The
    rotation turns each adjacent pair of channels of a head, ``(a, b) -> (a cos - b sin, a sin + b cos)`` (RoFormer,
    arXiv 2104.09864). Both are computed in float32 (float64 for float64 input). Differentiable in qkv and the norm
    parameters, not in cos and sin.

    Args:
        qkv: packed tokens (L, (N + 2G) * H): q of N heads, k of G, v of G, floating point.
        q_weight: (N * H,), or None.
        q_bias: (N * H,), or None.
        k_weight: (G * H,), or None.
        k_bias: (G * H,), or None.
        cos: cosines of the angles of each token's H / 2 pairs, (L, H / 2) float32.
        sin: their sines, (L, H / 2) float32.
        num_heads: N.
        num_kv_heads: G, which divides N.
        eps: added to the variance or mean square.
        backend: "auto", "reference" or "triton".

    Returns:
        q (L, N, H), k (L, G, H) and v (L, G, H) in qkv's dtype.

    Raises:
        ValueError: a shape that does not fit, a bias without its weight, or no such backend.
        BackendUnavailableError: ``backend="triton"`` cannot run here.

    Example:
        >>> angles = torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.1]))
        >>> qkv, none = torch.randn(5, 4 * 4), None
        >>> q, k, v = qk_norm_rope(
        ...     qkv, none, none, none, none, angles.cos(), angles.sin(), num_heads=2, num_kv_heads=1
        ... )
        >>> q.shape, k.shape
        (torch.Size([5, 2, 4]), torch.Size([5, 1, 4]))
    """
    _check(qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, num_heads, num_kv_heads)
    inputs = (qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, num_heads, num_kv_heads, eps)
    if resolve("qk_norm_rope", backend, qkv) == "reference":
        return reference.forward(*inputs)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs[:5]):
        return _forward(*inputs)
    v = qkv[:, (num_heads + num_kv_heads) * 2 * cos.shape[1] :]
    return *_forward_inference(*inputs), rearrange(v, "l (g h) -> l g h", g=num_kv_heads)


def _check(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
) -> None:
    check_tokens("qkv", qkv, 2)
    check_tokens("cos", cos, 2)
    head_dim = 2 * cos.shape[1]
    check_shape("qkv", qkv, (cos.shape[0], (num_heads + 2 * num_kv_heads) * head_dim))
    check_shape("sin", sin, cos.shape)
    for name, heads, weight, bias in (("q", num_heads, q_weight, q_bias), ("k", num_kv_heads, k_weight, k_bias)):
        if bias is not None and weight is None:
            raise ValueError(f"{name}_bias needs {name}_weight: LayerNorm takes both, RMSNorm a weight only")
        if weight is not None:
            check_shape(f"{name}_weight", weight, (heads * head_dim,))
        if bias is not None:
            check_shape(f"{name}_bias", bias, (heads * head_dim,))


@torch.library.custom_op("flagdit::qk_norm_rope", mutates_args=())
def _forward(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = reference.forward(qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, num_heads, num_kv_heads, eps)
    return q.contiguous(), k.contiguous(), v.clone(memory_format=torch.contiguous_format)  # an output may not be a view


@torch.library.custom_op("flagdit::qk_norm_rope_inference", mutates_args=())
def _forward_inference(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    q, k, _ = reference.forward(qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, num_heads, num_kv_heads, eps)
    return q.contiguous(), k.contiguous()


@torch.library.custom_op("flagdit::qk_norm_rope_backward", mutates_args=())
def _backward(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    gradients = reference.backward(dq, dk, dv, qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, eps)
    return _without_none((gradients[0].contiguous(), *gradients[1:]), qkv)


@_forward.register_kernel("cuda")
def _(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from flagdit_kernels.ops.qk_norm_rope import triton

    v = qkv.new_empty(qkv.shape[0], num_kv_heads, 2 * cos.shape[1])
    inputs = (qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, num_heads, num_kv_heads, eps)
    return *triton.forward(*inputs, out_v=v), v


@_forward_inference.register_kernel("cuda")
def _(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    from flagdit_kernels.ops.qk_norm_rope import triton

    return triton.forward(qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, num_heads, num_kv_heads, eps)


@_backward.register_kernel("cuda")
def _(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    from flagdit_kernels.ops.qk_norm_rope import triton

    gradients = triton.backward(dq, dk, dv, qkv, q_weight, q_bias, k_weight, k_bias, cos, sin, eps)
    return _without_none(gradients, qkv)


def _without_none(gradients: tuple[Tensor | None, ...], qkv: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """An operator cannot return None: an empty tensor stands for the gradient of a parameter that is not there."""
    dqkv, dq_weight, dq_bias, dk_weight, dk_bias = (qkv.new_empty(0) if d is None else d for d in gradients)
    return dqkv, dq_weight, dq_bias, dk_weight, dk_bias


@_forward.register_fake
def _(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    num_tokens, head_dim = qkv.shape[0], 2 * cos.shape[1]
    q = qkv.new_empty(num_tokens, num_heads, head_dim)
    k, v = (qkv.new_empty(num_tokens, num_kv_heads, head_dim) for _ in range(2))
    return q, k, v


@_forward_inference.register_fake
def _(
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    num_heads: int,
    num_kv_heads: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    num_tokens, head_dim = qkv.shape[0], 2 * cos.shape[1]
    return qkv.new_empty(num_tokens, num_heads, head_dim), qkv.new_empty(num_tokens, num_kv_heads, head_dim)


@_backward.register_fake
def _(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    qkv: Tensor,
    q_weight: Tensor | None,
    q_bias: Tensor | None,
    k_weight: Tensor | None,
    k_bias: Tensor | None,
    cos: Tensor,
    sin: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    parameters = (q_weight, q_bias, k_weight, k_bias)
    dq_weight, dq_bias, dk_weight, dk_bias = (
        qkv.new_empty(0) if parameter is None else parameter.new_empty(parameter.shape) for parameter in parameters
    )
    return qkv.new_empty(qkv.shape), dq_weight, dq_bias, dk_weight, dk_bias


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, _num_heads, _num_kv_heads, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, dq: Tensor, dk: Tensor, dv: Tensor) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors  # read once: activation checkpointing allows no second time
    dqkv, *dparameters = _backward(dq, dk, dv, *saved, ctx.eps)
    given = (None if parameter is None else d for parameter, d in zip(saved[1:5], dparameters, strict=True))
    return dqkv, *given, *(None,) * 5


_forward.register_autograd(_differentiate, setup_context=_save)
