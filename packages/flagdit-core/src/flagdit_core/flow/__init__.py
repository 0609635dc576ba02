"""Flow matching: from noise at t = 0 to data at t = 1, velocity = dx/dt.

Read in this order: ``paths`` (how noise and data are mixed), ``losses`` and ``timesteps`` (training), ``schedules`` and
``samplers`` (sampling).
"""

from flagdit_core.flow.losses import flow_matching_loss, loss_weight, prediction_loss
from flagdit_core.flow.paths import PATHS, GVPPath, LinearPath, Path, VPPath, get_path, interpolate, target_velocity
from flagdit_core.flow.samplers import SAMPLERS, euler, get_sampler, heun, heun3, midpoint, rk4, rk4_38
from flagdit_core.flow.schedules import linear_times, time_shift
from flagdit_core.flow.timesteps import TimestepDistribution, sample_timesteps

__all__ = [
    "PATHS",
    "SAMPLERS",
    "GVPPath",
    "LinearPath",
    "Path",
    "TimestepDistribution",
    "VPPath",
    "euler",
    "flow_matching_loss",
    "get_path",
    "get_sampler",
    "heun",
    "heun3",
    "interpolate",
    "linear_times",
    "loss_weight",
    "midpoint",
    "prediction_loss",
    "rk4",
    "rk4_38",
    "sample_timesteps",
    "target_velocity",
    "time_shift",
]
