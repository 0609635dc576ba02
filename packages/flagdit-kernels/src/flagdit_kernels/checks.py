"""Shape checks at the public edge: cheap enough to run on every call, and traceable by the compiler."""

import torch
from torch import Tensor


def check_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a tensor has exactly this shape."""
    if tensor.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")


def check_tokens(name: str, x: Tensor, ndim: int) -> None:
    """Raise ValueError unless packed tokens have this many axes."""
    if x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, packed tokens first, got shape {tuple(x.shape)}")


def check_segments(cu_seqlens: Tensor, per_segment: dict[str, Tensor], width: int) -> None:
    """Raise ValueError unless ``cu_seqlens`` is (B + 1,) int32 and each per-segment tensor is (B, width)."""
    if cu_seqlens.ndim != 1 or cu_seqlens.dtype != torch.int32:
        raise ValueError(
            f"cu_seqlens must be 1-D int32, the B + 1 bounds of the segments, "
            f"got {cu_seqlens.dtype} of shape {tuple(cu_seqlens.shape)}"
        )
    for name, tensor in per_segment.items():
        check_shape(name, tensor, (cu_seqlens.shape[0] - 1, width))
