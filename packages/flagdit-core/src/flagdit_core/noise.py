"""Gaussian noise that depends on nothing but (seed, sample index, latent coordinate).

The counter-based generator Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
SC 2011) turns a 128-bit counter and a 64-bit key into four random words. The counter is the coordinate, so the value
there is the same whatever the shape around it, the batch, its order, the device or the dtype the latent is cast to.

Legend: C channels, T frames, H rows, W columns, Q groups of four columns.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError

Words = NDArray[np.uint64]
"""32-bit words, held in 64 bits so that their products are exact."""

_LOW_WORD: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_MULTIPLIERS: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_INCREMENTS: Final = (0x9E3779B9, 0xBB67AE85)
_ROUNDS: Final = 10


def latent_noise(shape: Sequence[int], *, seed: int, index: int) -> Tensor:
    """The noise that sample ``index`` starts from.

    Args:
        shape: (C, T, H, W), (C, H, W) or (C, L). A picture is one frame of a film, a sequence its one row, so the
            values at equal coordinates agree between them.
        seed: In [0, 2**64).
        index: Number of the sample under this seed, in [0, 2**32): picture k of n is reproducible alone.

    Returns:
        N(0, 1) values of that shape, float32 on the CPU.

    Raises:
        ConfigError: The seed or the index is out of range.
        ShapeError: The shape is not one of these.

    Example:
        >>> whole = latent_noise((4, 16, 24), seed=7, index=0)
        >>> torch.equal(latent_noise((4, 8, 8), seed=7, index=0), whole[:, :8, :8])
        True
    """
    return _normal(shape, _stream_key(seed, index, 0))


def step_noise(shape: Sequence[int], *, seed: int, index: int, step: int) -> Tensor:
    """The noise that a stochastic sampler adds to sample ``index`` at ``step``; independent of ``latent_noise``.

    Args:
        shape: (C, T, H, W), (C, H, W) or (C, L).
        seed: In [0, 2**64).
        index: Number of the sample under this seed, in [0, 2**32).
        step: Step of the sampler, from 0, below 2**32 - 1.

    Returns:
        N(0, 1) values of that shape, float32 on the CPU.

    Raises:
        ConfigError: The seed, the index or the step is out of range.
        ShapeError: The shape is not one of these.
    """
    _check_range("step", step, 2**32 - 1)
    return _normal(shape, _stream_key(seed, index, 1 + step))


def philox_4x32(counter: Sequence[Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10: four random words per counter.

    Args:
        counter: Four arrays of 32-bit words (as uint64) that broadcast against each other.
        key: Two 32-bit words.

    Returns:
        Four arrays of uniform 32-bit words (as uint64), of the broadcast shape.
    """
    x0, x1, x2, x3 = np.broadcast_arrays(*counter)
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = x0 * _MULTIPLIERS[0], x2 * _MULTIPLIERS[1]
        x0, x1, x2, x3 = (
            (product1 >> _HALF) ^ x1 ^ np.uint64(k0),
            product1 & _LOW_WORD,
            (product0 >> _HALF) ^ x3 ^ np.uint64(k1),
            product0 & _LOW_WORD,
        )
        k0, k1 = (k0 + _KEY_INCREMENTS[0]) & 0xFFFFFFFF, (k1 + _KEY_INCREMENTS[1]) & 0xFFFFFFFF
    return x0, x1, x2, x3


def _stream_key(seed: int, index: int, stream: int) -> tuple[int, int]:
    """A key of its own for each (seed, sample, stream), from Philox itself: the coordinate keeps the whole counter."""
    _check_range("seed", seed, 2**64)
    _check_range("sample index", index, 2**32)
    words = philox_4x32(
        [np.array([word], dtype=np.uint64) for word in (index, stream, 0, 0)], (seed & 0xFFFFFFFF, seed >> 32)
    )
    return int(words[0][0]), int(words[1][0])


def _check_range(what: str, value: int, limit: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
        raise ConfigError(f"expected the {what} to be a whole number from 0 to {limit - 1}, got {value!r}")


def _normal(shape: Sequence[int], key: tuple[int, int]) -> Tensor:
    """Box-Muller in float64 on four adjacent columns at a time: one Philox call gives four values."""
    if len(shape) not in (2, 3, 4) or any(size < 1 for size in shape):
        raise ShapeError(f"expected a latent shape (C, T, H, W), (C, H, W) or (C, L), got {tuple(shape)}")
    channels, *middle, width = shape
    rows = middle[-1] if middle else 1
    frames = middle[0] if len(middle) == 2 else 1
    c, t, h, q = np.ogrid[:channels, :frames, :rows, : math.ceil(width / 4)]
    words = philox_4x32([axis.astype(np.uint64) for axis in (q, h, t, c)], key)
    # (n + 1/2) / 2^32 is never 0, so the logarithm is finite.
    u0, u1, u2, u3 = ((word.astype(np.float64) + 0.5) * 2.0**-32 for word in words)
    values = np.empty((*u0.shape, 4), dtype=np.float32)
    for pair, radius, angle in ((0, u0, u1), (2, u2, u3)):
        length, turn = np.sqrt(-2.0 * np.log(radius)), (2.0 * math.pi) * angle
        values[..., pair], values[..., pair + 1] = length * np.cos(turn), length * np.sin(turn)
    padded = values.reshape(channels, frames, rows, -1)
    return torch.from_numpy(np.ascontiguousarray(padded[..., :width]).reshape(tuple(shape)))
