"""A function of (time, tensors) applied to a batch tensor, or to each item of a list of unequal ones.

Legend: B latents, C channels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from flagdit_core.errors import ShapeError
from flagdit_core.layout import Latents


def as_time(t: Tensor | float) -> Tensor:
    """Time as a tensor of at least float32: bfloat16 would round 1/7 by 0.2 %.

    Args:
        t: Time in [0, 1], scalar or (B,), of any floating dtype.

    Returns:
        The same shape, float32 or float64.
    """
    t = torch.as_tensor(t)
    return t if t.dtype == torch.float64 else t.to(torch.float32)


def as_float32(latents: Latents) -> Latents:
    """Latents in float32, where squares of half-precision values would be rounded away.

    Args:
        latents: A batch (B, C, ...) or a list of items (C, ...).

    Returns:
        The same in float32.
    """
    return latents.float() if isinstance(latents, Tensor) else [item.float() for item in latents]


def expand_time(t: Tensor | float, x: Tensor) -> Tensor:
    """Time with x's number of dimensions, so that it broadcasts over each latent.

    Args:
        t: Time in [0, 1], scalar or (B,).
        x: Latents (B, ...), or any tensor when t is a scalar.

    Returns:
        (B, 1, ...) or (1, 1, ...), on x's device, float32 or float64.

    Raises:
        ShapeError: t is neither a scalar nor one value per latent.
    """
    t = as_time(t).to(x.device)
    if t.ndim > 1 or (t.ndim == 1 and (x.ndim == 0 or t.shape[0] != x.shape[0])):
        raise ShapeError(
            f"expected t to be a scalar or one value per latent, got t {tuple(t.shape)} for latents {tuple(x.shape)}"
        )
    return t.reshape(-1, *(1,) * (x.ndim - 1)) if t.ndim else t.reshape((1,) * x.ndim)


def map_latents(function: Callable[..., Tensor], t: Tensor | float, *latents: Latents) -> Latents:
    """``function(t, *tensors)`` on a batch, or on each item of lists of unequal items.

    Args:
        function: Takes t shaped to broadcast, then one tensor of equal shape from each of ``latents``. Computed in
            at least float32, the result is cast back to the dtype of the first tensor.
        t: Time in [0, 1], scalar or (B,).
        *latents: Each a batch (B, C, ...) or a list of B items (C, ...); all of one kind and of equal shapes.

    Returns:
        The results in the form of the inputs.

    Raises:
        ShapeError: Lists and tensors are mixed, or numbers or shapes differ.
    """
    if all(isinstance(item, Tensor) for item in latents):
        return _apply(function, expand_time(t, latents[0]), latents)  # type: ignore[arg-type]  # all are tensors
    if any(isinstance(item, Tensor) for item in latents):
        raise ShapeError("expected all latents as tensors or all as lists, got both; convert one of them")
    sizes = {len(item) for item in latents}
    t = as_time(t)
    if len(sizes) > 1 or (t.ndim and {t.shape[0]} != sizes):
        raise ShapeError(f"expected lists of one length and one time for each item, got {sizes} and t {tuple(t.shape)}")
    rows = zip(*latents, strict=True)
    return [_apply(function, expand_time(t[i] if t.ndim else t, row[0]), row) for i, row in enumerate(rows)]


def _apply(function: Callable[..., Tensor], t: Tensor, tensors: tuple[Tensor, ...]) -> Tensor:
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"expected tensors of one shape, got {' and '.join(map(str, sorted(shapes)))}")
    return function(t, *tensors).to(tensors[0].dtype)
