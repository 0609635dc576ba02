"""Noise: the generator's published answers, what it depends on, and that it is Gaussian and independent."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.noise import latent_noise, philox_4x32, step_noise

# Known answers of philox4x32 with ten rounds, from Random123's kat_vectors: counter, key, words.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
LARGE = (16, 128, 128)
NUM = math.prod(LARGE)
FIRST_VALUES = [0.60126334, 0.46467403, -1.29051876, -0.23611373, -0.38154319, -0.70703089]
LAST_VALUE = -2.36466265
FIRST_STEP_VALUE = 0.77393121


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter: str, key: str, words: str) -> None:
    """Philox4x32-10 gives Random123's published words."""
    low, high = (int(word, 16) for word in key.split())
    got = philox_4x32([np.array(int(word, 16), dtype=np.uint64) for word in counter.split()], (low, high))
    assert [f"{int(word):08x}" for word in got] == words.split()


def test_values_never_change() -> None:
    """The first values of a seed are what they were in the first release: pictures stay reproducible."""
    got = latent_noise((1, 2, 3), seed=7, index=0).flatten().tolist()
    assert got == pytest.approx(FIRST_VALUES, rel=1e-7)
    assert latent_noise((2, 3, 4, 5), seed=7, index=1)[1, 2, 3, 4].item() == pytest.approx(LAST_VALUE, rel=1e-7)
    assert step_noise((1, 1), seed=7, index=0, step=0).item() == pytest.approx(FIRST_STEP_VALUE, rel=1e-7)


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**64 - 1),
    index=st.integers(0, 2**32 - 1),
)
def test_value_depends_on_the_coordinate_only(shape: tuple[int, int, int, int], seed: int, index: int) -> None:
    """A smaller latent is the corner of a larger one, at any seed and index."""
    whole = latent_noise((4, 3, 9, 9), seed=seed, index=index)
    c, t, h, w = shape
    assert torch.equal(latent_noise(shape, seed=seed, index=index), whole[:c, :t, :h, :w])


def test_pictures_and_sequences_are_films_of_one_frame_and_row() -> None:
    """(C, H, W) is frame 0 and (C, L) row 0 of it, float32 and contiguous."""
    film = latent_noise((2, 3, 4, 5), seed=1, index=2)
    picture, sequence = latent_noise((2, 4, 5), seed=1, index=2), latent_noise((2, 5), seed=1, index=2)
    assert torch.equal(picture, film[:, 0])
    assert torch.equal(sequence, film[:, 0, 0])
    assert sequence.dtype == torch.float32
    assert sequence.is_contiguous()


def test_global_random_state_is_left_alone() -> None:
    """Neither reads nor advances torch's or NumPy's generators."""
    torch.manual_seed(0)
    before, expected = latent_noise((2, 4), seed=3, index=0), torch.rand(1, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    after = latent_noise((2, 4), seed=3, index=0)
    assert torch.equal(before, after)
    assert torch.equal(torch.rand(1), expected)


def test_values_are_standard_normal() -> None:
    """Mean, variance, skewness, kurtosis and the Kolmogorov distance of 262144 values are within five deviations."""
    x = latent_noise(LARGE, seed=11, index=0).double().flatten()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(x.pow(power).mean()) - moment) < 5 * math.sqrt(variance / NUM)
    uniform = torch.special.ndtr(x.sort().values)
    distance = (uniform - torch.arange(NUM) / NUM).abs().max()
    assert distance < 1.95 / math.sqrt(NUM)  # exceeded once in a thousand seeds


def test_streams_are_independent() -> None:
    """Other seeds (low and high word), indices and steps give uncorrelated values."""
    streams = [
        latent_noise(LARGE, seed=0, index=0),
        latent_noise(LARGE, seed=1, index=0),
        latent_noise(LARGE, seed=2**32, index=0),
        latent_noise(LARGE, seed=0, index=1),
        step_noise(LARGE, seed=0, index=0, step=0),
        step_noise(LARGE, seed=0, index=0, step=1),
        step_noise(LARGE, seed=0, index=1, step=0),
    ]
    for first, second in combinations(streams, 2):
        assert abs(float((first * second).mean())) < 5 / math.sqrt(NUM)


@pytest.mark.parametrize("offset", [(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4), (0, 1, 0), (1, 0, 0), (0, 1, 1)])
def test_neighbours_are_independent(offset: tuple[int, int, int]) -> None:
    """Values and squares at neighbouring coordinates are uncorrelated, inside and across the groups of four."""
    x = latent_noise(LARGE, seed=5, index=0).double()
    c, h, w = offset
    first = x[c:, h:, w:]
    second = x[: LARGE[0] - c, : LARGE[1] - h, : LARGE[2] - w]
    assert abs(float((first * second).mean())) < 5 / math.sqrt(NUM)
    assert abs(float(((first**2 - 1) * (second**2 - 1)).mean())) < 10 / math.sqrt(NUM)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1, "index": 0},
        {"seed": 2**64, "index": 0},
        {"seed": 0.5, "index": 0},
        {"seed": True, "index": 0},
        {"seed": 0, "index": -1},
        {"seed": 0, "index": 2**32},
    ],
)
def test_seed_and_index_are_checked(options: dict[str, object]) -> None:
    """They are whole numbers in range; nothing wraps around."""
    with pytest.raises(ConfigError, match="whole number"):
        latent_noise((1, 1), **options)


def test_step_is_checked() -> None:
    """A step below zero would be another stream's noise."""
    with pytest.raises(ConfigError, match="step"):
        step_noise((1, 1), seed=0, index=0, step=-1)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3, 4, 5), (4, 0, 8)])
def test_shapes_are_checked(shape: tuple[int, ...]) -> None:
    """A latent has two to four dimensions, none of them empty."""
    with pytest.raises(ShapeError, match="latent shape"):
        latent_noise(shape, seed=0, index=0)
