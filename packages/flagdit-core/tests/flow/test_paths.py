"""Paths, their derivatives and end points, and mixing of batches and lists."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.flow import PATHS, Path, VPPath, get_path, interpolate, target_velocity

every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
times = st.floats(0.01, 0.99)


@every_path
@settings(deadline=None)
@given(t=times)
def test_derivatives_are_those_of_the_coefficients(path: Path, t: float) -> None:
    """d_alpha and d_sigma equal automatic differentiation of alpha and sigma, and W its definition."""
    time = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    alpha, d_alpha, sigma, d_sigma = path.coefficients(time)
    torch.testing.assert_close(torch.autograd.grad(alpha, time, retain_graph=True)[0], d_alpha)
    torch.testing.assert_close(torch.autograd.grad(sigma, time, retain_graph=True)[0], d_sigma)
    torch.testing.assert_close(path.determinant(time), d_alpha * sigma - alpha * d_sigma)


@every_path
def test_end_points(path: Path) -> None:
    """At t = 1 x is exactly the data; at t = 0 it is noise, but for the VP path's remainder exp(-5.025)."""
    x0, x1 = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)), torch.full((2, 3), 2.0)
    torch.testing.assert_close(interpolate(path, x0, x1, 1.0), x1, rtol=0, atol=0)
    remainder = math.exp(-5.025) if isinstance(path, VPPath) else 0.0
    start = remainder * x1 + math.sqrt(1 - remainder**2) * x0
    torch.testing.assert_close(interpolate(path, x0, x1, 0.0), start, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["linear", "gvp"])
def test_velocity_is_finite_at_both_ends(name: str) -> None:
    """Linear and GVP targets are finite and right at t = 0 and t = 1."""
    path, x0, x1 = get_path(name), torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [3.0]])
    want = {"linear": [[2.0], [2.0]], "gvp": [[3 * math.pi / 2], [-math.pi / 2]]}[name]
    torch.testing.assert_close(target_velocity(path, x0, x1, torch.tensor([0.0, 1.0])), torch.tensor(want))


def test_vp_sigma_keeps_its_digits_near_data() -> None:
    """In float32, VP's sigma at t = 1 - 1e-5 is right to 1e-3, where 1 - exp(2 l) would be off by several percent."""
    t = torch.tensor(1 - 1e-5, dtype=torch.float32)
    got, want = (VPPath().coefficients(time).sigma for time in (t, t.double()))
    torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=0)


@every_path
@settings(deadline=None)
@given(t=times)
def test_target_is_the_derivative_of_the_interpolation(path: Path, t: float) -> None:
    """dx_t/dt by central differences is the target velocity."""
    x0, x1 = torch.tensor([[0.3, -1.0]], dtype=torch.float64), torch.tensor([[2.0, 0.5]], dtype=torch.float64)
    time, step = torch.tensor(t, dtype=torch.float64), 1e-6
    slope = (interpolate(path, x0, x1, time + step) - interpolate(path, x0, x1, time - step)) / (2 * step)
    torch.testing.assert_close(target_velocity(path, x0, x1, time), slope, rtol=1e-5, atol=1e-6)


@every_path
def test_lists_are_mixed_item_by_item(path: Path) -> None:
    """A list of unequal items gives what each item gives alone at its own time, and a scalar t serves all."""
    generator = torch.Generator().manual_seed(0)
    x0, x1 = ([torch.randn(2, size, 3, generator=generator) for size in (4, 5)] for _ in range(2))
    t = torch.tensor([0.2, 0.7])
    for function in (interpolate, target_velocity):
        for index, item in enumerate(function(path, x0, x1, t)):
            torch.testing.assert_close(item, function(path, x0[index][None], x1[index][None], t[index : index + 1])[0])
        for index, item in enumerate(function(path, x0, x1, 0.3)):
            torch.testing.assert_close(item, function(path, x0[index], x1[index], 0.3))


def test_half_precision_is_mixed_in_float32() -> None:
    """bfloat16 latents come back as bfloat16, rounded once."""
    x0, x1 = torch.tensor([[1.0]], dtype=torch.bfloat16), torch.tensor([[3.0]], dtype=torch.bfloat16)
    got = interpolate(get_path("linear"), x0, x1, torch.tensor([1 / 7], dtype=torch.float32))
    assert got.dtype == torch.bfloat16
    assert got.item() == torch.tensor(9 / 7, dtype=torch.bfloat16).item()


@pytest.mark.parametrize(
    ("x0", "x1", "t"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3)),
        (torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 1)),
        (torch.zeros(2, 3), torch.zeros(1, 3), torch.zeros(2)),
        ([torch.zeros(3)], torch.zeros(1, 3), torch.zeros(1)),
        ([torch.zeros(3)], [torch.zeros(3)] * 2, torch.zeros(1)),
        ([torch.zeros(3)], [torch.zeros(3)], torch.zeros(2)),
        ([torch.zeros(3)], [torch.zeros(1)], torch.zeros(1)),
    ],
)
def test_shapes_that_would_broadcast_are_refused(x0: object, x1: object, t: torch.Tensor) -> None:
    """Nothing is broadcast from one sample to another."""
    with pytest.raises(ShapeError):
        interpolate(get_path("linear"), x0, x1, t)


def test_unknown_path_names_the_known_ones() -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError, match="'quadratic'; use one of: linear, gvp, vp"):
        get_path("quadratic")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (2.0, 1.0), (0.1, math.inf)])
def test_vp_betas_are_checked(low: float, high: float) -> None:
    """Beta must be positive, growing and finite."""
    with pytest.raises(ConfigError, match="beta_min"):
        VPPath(beta_min=low, beta_max=high)
