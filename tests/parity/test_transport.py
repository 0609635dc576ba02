"""Flow against golden tensors of the Lumina-T2X authors' transport code (commit 1c606962)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from flagdit_core import flow

GOLDEN = Path(__file__).parents[1] / "data" / "parity"
SOLVERS = {"euler": "euler", "midpoint": "midpoint", "heun2": "heun", "heun3": "heun3", "rk4": "rk4_38"}
SDE_SOLVERS = {"Euler": "euler-maruyama", "Heun": "heun"}
FORMS = ["constant", "SBDM", "sigma", "linear", "decreasing", "inccreasing-decreasing"]
PATHS = ["Linear", "GVP", "VP"]

ODE_META, SDE_META = (json.loads((GOLDEN / f"transport_{name}.json").read_text()) for name in ("ode", "sde"))


def golden(name: str) -> dict[str, Tensor]:
    """Tensors of one golden file."""
    return load_file(GOLDEN / f"transport_{name}.safetensors")


def assert_close(got: Tensor, want: Tensor, tolerance: float = 2e-5) -> None:
    """The largest difference is within ``tolerance`` of the largest golden value."""
    assert got.shape == want.shape
    assert float((got - want).abs().max()) <= tolerance * float(want.abs().max())


def field(name: str, tensors: dict[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The stand-in networks of the goldens, called with t scalar or (B,)."""
    matrix, bias = tensors["in.A"], tensors["in.b"]

    def linear(x: Tensor, t: Tensor) -> Tensor:
        return x @ matrix.T + bias * t.reshape(-1, 1)

    def nonlinear(x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x @ matrix.T) + bias * torch.cos(3 * t.reshape(-1, 1))

    return {"lin": linear, "nl": nonlinear}[name]


def velocity_of(
    network: Callable[[Tensor, Tensor], Tensor], prediction: flow.Prediction, path: flow.Path
) -> flow.VelocityFunction:
    """The network as a velocity."""
    return lambda x, t: flow.velocity_from(prediction, network(x, t), x, t, path)


@pytest.mark.parametrize("name", PATHS)
def test_paths(name: str) -> None:
    """Coefficients, interpolation, targets and conversions equal the authors' (d_alpha, d_sigma included)."""
    tensors, path = golden("paths"), flow.get_path(name.lower())
    t, x0, x1, v = (tensors[f"in.{key}"] for key in ("t", "x0", "x1", "v"))
    alpha, d_alpha, sigma, d_sigma = path.coefficients(t)
    x_t = flow.interpolate(path, x0, x1, t)
    mean, variance = flow.score_drift(x_t, t, path)
    got = {
        "alpha": alpha,
        "d_alpha": d_alpha,
        "sigma": sigma,
        "d_sigma": d_sigma,
        "xt": x_t,
        "ut": flow.target_velocity(path, x0, x1, t),
        "score_from_v": flow.score_from("velocity", v, x_t, t, path),
        "noise_from_v": flow.noise_from("velocity", v, x_t, t, path),
        "v_from_score": flow.velocity_from("score", v, x_t, t, path),
        "drift_mean": -mean,
        "drift_var": variance.reshape(-1, 1, 1, 1),
    }
    for key, value in got.items():
        assert_close(value, tensors[f"out.{name}.{key}"])


@pytest.mark.parametrize("name", PATHS)
def test_paths_of_unequal_items(name: str) -> None:
    """Lists of unequal items are mixed each at its own time."""
    tensors, path = golden("paths"), flow.get_path(name.lower())
    x0, x1, t = tensors["in.x0"], tensors["in.x1"], tensors["in.t"][:2]
    items0, items1 = [x0[0], x0[1][:, :1]], [x1[0], x1[1][:, :1]]
    for key, function in (("list_xt", flow.interpolate), ("list_ut", flow.target_velocity)):
        for index, item in enumerate(function(path, items0, items1, t)):
            assert_close(item, tensors[f"out.{name}.{key}.{index}"])


@pytest.mark.parametrize("norm", [1.0, 0.7])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PATHS)
def test_diffusion(name: str, form: str, norm: float) -> None:
    """Every diffusion form has the authors' w(t)."""
    tensors = golden("paths")
    sde = flow.SDE(path=flow.get_path(name.lower()), diffusion=form, norm=norm)
    assert_close(sde.weight(tensors["in.t"]), tensors[f"out.{name}.diff.{form}.{norm}"].flatten())


@pytest.mark.parametrize("entry", ODE_META["drift_entries"])
def test_ode_drift(entry: str) -> None:
    """Velocity and score of each kind of network equal the authors' at times of shape (B,)."""
    tensors = golden("ode")
    name, prediction, network = entry.split(".")
    path, x, t = flow.get_path(name.lower()), tensors["in.x"], tensors["in.tq"]
    output = field(network, tensors)(x, t)
    assert_close(flow.velocity_from(prediction, output, x, t, path), tensors[f"out.drift.{entry}"])
    assert_close(flow.score_from(prediction, output, x, t, path), tensors[f"out.score.{entry}"])


@pytest.mark.parametrize("entry", ODE_META["entries"], ids=lambda entry: entry["key"])
def test_ode_trajectory(entry: dict) -> None:
    """Every solver visits the authors' states at the authors' times."""
    tensors, key = golden("ode"), entry["key"]
    path, x = flow.get_path(entry["path"].lower()), tensors["in.x"]
    start, end = flow.interval(path, entry["prediction"])
    shift = entry["time_shifting_factor"] or 1.0
    times = flow.linear_times(entry["num_steps"] - 1, shift=shift, start=start, end=end)
    assert_close(times, tensors[f"out.t.{key}"])
    velocity = velocity_of(field(entry["model"], tensors), entry["prediction"], path)
    states = [x]
    if entry["method"] == "dopri5":
        states += [flow.dopri5(velocity, x, times[: 1 + n], rtol=entry["rtol"]) for n in range(1, len(times))]
    else:
        sampler = flow.get_sampler(SOLVERS[entry["method"]]).function
        sampler(velocity, x, times, callback=lambda step, t, state: states.append(state))
    assert_close(torch.stack(states), tensors[f"out.traj.{key}"], 2e-4 if entry["method"] == "dopri5" else 2e-5)


def test_intervals() -> None:
    """Default intervals are the authors', but where theirs is infinite (SBDM at t = 0)."""
    for key, want in ODE_META["interval"].items():
        name, prediction = key.split(".")
        path = flow.get_path(name.lower())
        assert flow.interval(path, prediction) == pytest.approx(want["ode"])
        assert flow.interval(path, prediction, training=True) == pytest.approx(want["train"])
        for label, ends in want["sde"].items():
            form, size = label.split("|last=")
            last = {"last_step": "none"} if size == "0.0" else {"last_step_size": float(size)}
            got = flow.SDE(path=path, diffusion=form, **last).interval(prediction)
            if form == "SBDM" and name != "VP" and prediction == "velocity":
                ends = [1e-3, ends[1]]
            assert got == pytest.approx(ends)


@pytest.mark.parametrize("entry", SDE_META["entries"])
def test_sde_terms(entry: str) -> None:
    """Drift and diffusion of the process equal the authors'."""
    tensors = golden("sde")
    name, prediction, form, norm = entry.split(".", 3)
    sde = flow.SDE(path=flow.get_path(name.lower()), diffusion=form, norm=float(norm))
    x, t = tensors["in.x"], tensors["in.tq"]
    velocity = velocity_of(field("nl", tensors), prediction, sde.path)(x, t)
    assert_close(sde.drift(velocity, x, t), tensors[f"out.drift.{entry}"])
    want = tensors[f"out.w.{entry}"]
    assert_close(sde.weight(t).reshape(-1, 1).expand(want.shape), want)


@pytest.mark.parametrize("entry", SDE_META["step_entries"], ids=lambda entry: entry["key"])
def test_sde_sample(entry: dict) -> None:
    """Every stochastic solver and last step visits the authors' states when given their noise."""
    tensors, key = golden("sde"), entry["key"]
    name, _, method, form, last = key.split(".")
    sde = flow.SDE(
        path=flow.get_path(name.lower()),
        diffusion=form,
        last_step=last.lower(),
        last_step_size=entry["last_step_size"],
    )
    start, end = sde.interval()
    times = flow.linear_times(entry["num_steps"] - 1, start=start, end=end)
    states: list[Tensor] = []
    result = flow.get_sde_sampler(SDE_SOLVERS[method])(
        field("nl", tensors),
        tensors["in.x"],
        times,
        sde=sde,
        noise=lambda step: tensors["in.noise"][step],
        callback=lambda step, t, state: states.append(state),
    )
    if last == "None":
        states.append(result)
    assert_close(torch.stack(states), tensors[f"out.xs.{key}"])


@pytest.mark.parametrize(("name", "num_points"), [("euler", 21), ("rk4", 11), ("dopri5", 5)])
@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
def test_likelihood(name: str, num_points: int, divergence: str) -> None:
    """Likelihoods equal the authors' on a diagonal field, where Hutchinson's estimate is exact."""
    tensors = golden("likelihood")
    sampler = flow.get_sampler(SOLVERS.get(name, name)).function
    if name == "dopri5":

        def sampler(velocity: flow.VelocityFunction, x: Tensor, times: Tensor) -> Tensor:
            return flow.dopri5(velocity, x, times, rtol=1e-5, atol=1e-6)

    result = flow.log_likelihood(
        lambda x, t: x * tensors["in.a"] + tensors["in.b"] * t,
        tensors["in.x1"],
        flow.linear_times(num_points - 1),
        divergence=divergence,
        generator=torch.Generator().manual_seed(0),
        sampler=sampler,
    )
    assert_close(result.log_prob, tensors[f"out.logp.{name}.{num_points}"])
    assert_close(result.x0, tensors[f"out.z.{name}.{num_points}"])


def test_loss() -> None:
    """Losses of a batch and of a list of unequal items equal the authors'."""
    tensors = golden("loss")
    x0, x1, t = tensors["in.x0"], tensors["in.x1"], tensors["in.t"]
    batch = flow.flow_matching_loss(lambda x, t: 0.3 * x + t.reshape(-1, 1, 1, 1), x1, x0, t)
    assert_close(batch, tensors["out.tensor_loss"])
    items0, items1 = ([tensors[f"in.list_{side}.{index}"] for index in range(2)] for side in ("x0", "x1"))
    listed = flow.flow_matching_loss(lambda x, t: [0.3 * e + t[i] for i, e in enumerate(x)], items1, items0, t)
    assert_close(listed, tensors["out.list_loss"])


def test_timestep_distributions() -> None:
    """Logit-normal times are the authors', and their training option "shift_f" is a shift of 1 / f."""
    tensors = golden("loss")
    logit_normal = flow.TimestepDistribution(kind="logit-normal")
    assert_close(flow.transform_timesteps(logit_normal, tensors["in.u_normal"]), tensors["out.t_lognorm"])
    shifted = flow.TimestepDistribution(shift=1 / 3)
    assert_close(flow.transform_timesteps(shifted, tensors["in.u_uniform"]), tensors["out.t_shift_3"])
