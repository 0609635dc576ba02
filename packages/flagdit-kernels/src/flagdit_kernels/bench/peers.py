"""Peers that are made for given arguments, and say why where they cannot be.

Each ``Build`` takes the operator's arguments and returns a function of them; what a user would do once, such as
compiling or making a block mask, happens here and is not timed.
"""

import importlib
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flagdit_kernels.bench import eager
from flagdit_kernels.bench.case import UnavailableError

Build = Callable[[dict[str, Any]], Callable[..., Any]]


def compiled(form: Callable[..., Any], *, with_lengths: bool = False) -> Build:
    """What builds ``torch.compile`` of a plain form, without breaks; as by default, a second length makes it dynamic.

    Args:
        form: Of the operator's arguments.
        with_lengths: Whether it also takes ``lengths``, the segments' on the host, where it loops over them.

    Returns:
        The build.
    """

    def build(arguments: dict[str, Any]) -> Callable[..., Any]:
        known = partial(form, lengths=_lengths(arguments)) if with_lengths else form
        return torch.compile(known, fullgraph=True)

    return build


def forced_sdpa(name: str) -> Build:
    """What builds ``scaled_dot_product_attention`` on one of its backends.

    Args:
        name: Of a member of ``SDPBackend``.

    Returns:
        The build, which raises `UnavailableError` with PyTorch's reasons where that backend refuses.
    """
    backend = getattr(SDPBackend, name)

    def build(arguments: dict[str, Any]) -> Callable[..., Any]:
        lengths = _lengths(arguments)

        def attend(**arguments: Any) -> Tensor:
            with sdpa_kernel(backend):
                return eager.sdpa(**arguments, lengths=lengths)

        with warnings.catch_warnings(record=True) as reasons:
            warnings.simplefilter("always")
            try:
                attend(**arguments)
            except RuntimeError as error:
                said = [str(reason.message).split(" (Triggered")[0] for reason in reasons]
                raise UnavailableError(" ".join([str(error).splitlines()[0], *said])) from error
        return attend

    return build


def varlen(arguments: dict[str, Any]) -> Callable[..., Any]:
    """PyTorch's own attention over packed sequences, which is FlashAttention."""
    if len(arguments["cu_seqlens"]) == 2:
        raise UnavailableError("a single segment: the same kernel as sdpa-flash")
    _need_gpu(arguments["q"], "torch.nn.attention.varlen")
    varlen_attn = _module("torch.nn.attention.varlen", "a torch with varlen_attn").varlen_attn

    def attend(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Any:
        return varlen_attn(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)

    return attend


def flex(arguments: dict[str, Any]) -> Callable[..., Any]:
    """FlexAttention, compiled, with a document mask where there are several segments."""
    _need_gpu(arguments["q"], "FlexAttention's backward")
    flexible: Any = importlib.import_module("torch.nn.attention.flex_attention")
    torch.compiler.reset()  # it is compiled for exactly these shapes, and the limit of recompilations is low
    attend_dense: Any = torch.compile(flexible.flex_attention, fullgraph=True, dynamic=False)
    cu_seqlens, num_tokens = arguments["cu_seqlens"], len(arguments["q"])
    block_mask = None
    if len(cu_seqlens) > 2:
        documents = torch.repeat_interleave(cu_seqlens.diff(), output_size=num_tokens)

        def same_document(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return documents[query] == documents[key]

        # compiled, because the mask of all pairs would not fit
        create: Any = torch.compile(flexible.create_block_mask, dynamic=False)
        block_mask = create(same_document, None, None, num_tokens, num_tokens, device=cu_seqlens.device)

    def attend(q: Tensor, k: Tensor, v: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Any:
        q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
        return attend_dense(q, k, v, block_mask=block_mask)[0].transpose(0, 1)

    return attend


def liger_rms_norm_modulate(arguments: dict[str, Any]) -> Callable[..., Any]:
    """Liger-Kernel's RMSNorm, and the modulation in plain PyTorch."""
    function = _liger("rms_norm").LigerRMSNormFunction

    def run(x: Tensor, weight: Tensor, shift: Tensor, scale: Tensor, cu_seqlens: Tensor, max_seqlen: int) -> Tensor:
        normed = function.apply(x, weight, 1e-5, 0.0, "llama", False)  # not in place: the gradient is used again
        return eager.modulated(normed, shift, scale, cu_seqlens, max_seqlen)

    return run


def liger_swiglu(arguments: dict[str, Any]) -> Callable[..., Any]:
    """Liger-Kernel's SwiGLU, which takes two tensors: it copies the halves of the fused projection's output itself."""
    function = _liger("swiglu").LigerSiLUMulFunction
    return lambda x: function.apply(*x.chunk(2, dim=-1))


def _lengths(arguments: dict[str, Any]) -> tuple[int, ...]:
    """Tokens of each segment, read from the device once."""
    return tuple(arguments["cu_seqlens"].diff().tolist())


def _liger(name: str) -> ModuleType:
    return _module(f"liger_kernel.ops.{name}", "pip install 'flagdit-kernels[bench]'")


def _module(name: str, remedy: str) -> ModuleType:
    """A module that may be absent."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnavailableError(f"{name} cannot be imported ({error}): {remedy}") from error


def _need_gpu(x: Tensor, what: str) -> None:
    if x.device.type != "cuda":
        raise UnavailableError(f"{what} needs a GPU")
