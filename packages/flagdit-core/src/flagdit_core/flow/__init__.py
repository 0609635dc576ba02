"""Flow matching: from noise at t = 0 to data at t = 1, velocity = dx/dt.

Read in this order: ``paths`` (how noise and data are mixed), ``predictions`` (velocity, score, noise, data),
``losses``, ``rewards`` and ``timesteps`` (training), ``schedules`` and ``samplers`` (sampling), ``sde`` and
``likelihood``.
"""

from flagdit_core.flow.dormand_prince import dopri5
from flagdit_core.flow.intervals import interval
from flagdit_core.flow.likelihood import LogLikelihood, log_likelihood
from flagdit_core.flow.losses import Weighting, flow_matching_loss, loss_weight, prediction_loss
from flagdit_core.flow.paths import PATHS, GVPPath, LinearPath, Path, VPPath, get_path, interpolate, target_velocity
from flagdit_core.flow.predictions import (
    Prediction,
    data_from,
    noise_from,
    score_drift,
    score_from,
    velocity_from,
)
from flagdit_core.flow.rewards import reward_loss
from flagdit_core.flow.samplers import (
    SAMPLERS,
    Sampler,
    SamplerSpec,
    euler,
    get_sampler,
    heun,
    heun3,
    invert,
    midpoint,
    rk4,
    rk4_38,
)
from flagdit_core.flow.schedules import linear_times, time_shift
from flagdit_core.flow.sde import DIFFUSIONS, SDE, SDE_SAMPLERS, euler_maruyama, get_sde_sampler, stochastic_heun
from flagdit_core.flow.times import Callback, VelocityFunction
from flagdit_core.flow.timesteps import TimestepDistribution, sample_timesteps, transform_timesteps

__all__ = [
    "DIFFUSIONS",
    "PATHS",
    "SAMPLERS",
    "SDE",
    "SDE_SAMPLERS",
    "Callback",
    "GVPPath",
    "LinearPath",
    "LogLikelihood",
    "Path",
    "Prediction",
    "Sampler",
    "SamplerSpec",
    "TimestepDistribution",
    "VPPath",
    "VelocityFunction",
    "Weighting",
    "data_from",
    "dopri5",
    "euler",
    "euler_maruyama",
    "flow_matching_loss",
    "get_path",
    "get_sampler",
    "get_sde_sampler",
    "heun",
    "heun3",
    "interpolate",
    "interval",
    "invert",
    "linear_times",
    "log_likelihood",
    "loss_weight",
    "midpoint",
    "noise_from",
    "prediction_loss",
    "reward_loss",
    "rk4",
    "rk4_38",
    "sample_timesteps",
    "score_drift",
    "score_from",
    "stochastic_heun",
    "target_velocity",
    "time_shift",
    "transform_timesteps",
    "velocity_from",
]
