"""SamplingSettings refuse what cannot be sampled with, and survive JSON."""

import json
import math
from typing import Any

import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.pipeline.settings import SOLVERS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_inference_steps", 0),
        ("num_inference_steps", -1),
        ("num_inference_steps", 2.0),
        ("num_inference_steps", True),
        ("guidance_scale", math.nan),
        ("guidance_scale", math.inf),
        ("guidance_scale", -1.0),
        ("guidance_scale", "4"),
        ("guidance_rescale", 1.5),
        ("guidance_interval", (0.5, 0.2)),
        ("guidance_interval", (math.nan, 1.0)),
        ("guidance_interval", (0.1,)),
        ("guidance_interval", 0.5),
        ("guidance_interval", ("0", "1")),
        ("guidance_channels", 0),
        ("solver", "runge"),
        ("time_shift", 0.0),
        ("time_shift", math.nan),
        ("ntk_factor", 0.0),
        ("ntk_factor", "auto"),
        ("rope_scaling_factor", "auto"),
        ("rope_scaling_factor", -1.0),
        ("proportional_attention", True),
        ("projected_flow", True),
        ("base_sequence_length", 1),
        ("base_sequence_length", "9"),
        ("training_shape", (16, 16)),
        ("training_shape", (1, 16, 0)),
        ("diffusion", "nothing"),
        ("diffusion_norm", 0.0),
        ("last_step", "jump"),
    ],
)
def test_values_out_of_range_raise_and_are_named(name: str, value: Any) -> None:
    """Each wrong value raises ConfigError whose one line shows the value or the field."""
    with pytest.raises(ConfigError) as caught:
        SamplingSettings(**{name: value})
    assert name.split("_")[-1] in str(caught.value).replace("step", "steps").lower() or repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_solver_lists_the_known_ones() -> None:
    """A user who misspells a solver sees every name that works."""
    with pytest.raises(ConfigError) as caught:
        SamplingSettings(solver="eulr")
    assert all(name in str(caught.value) for name in SOLVERS)


def test_a_stochastic_solver_needs_a_step_with_noise() -> None:
    """One step would be the last one, which has no noise."""
    with pytest.raises(ConfigError, match="at least 2"):
        SamplingSettings(solver="sde-heun", num_inference_steps=1)


def test_json_round_trip_is_lossless() -> None:
    """What model_index.json stores comes back equal, tuples included."""
    settings = SamplingSettings(
        guidance_interval=(0.1, 0.9), training_shape=(1, 8, 8), ntk_factor="auto", proportional_attention=True
    )
    assert SamplingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_replace_keeps_what_is_none_and_refuses_unknown_names() -> None:
    """None means "as it was"; a name that is no setting raises."""
    settings = SamplingSettings(num_inference_steps=7)
    assert settings.replace(num_inference_steps=None, solver="heun") == SamplingSettings(
        num_inference_steps=7, solver="heun"
    )
    with pytest.raises(ConfigError, match="stepz"):
        settings.replace(stepz=3)


def test_unknown_stored_settings_raise() -> None:
    """A folder written by a newer release is refused instead of half understood."""
    with pytest.raises(ConfigError, match="flux_capacitor"):
        SamplingSettings.from_dict({"flux_capacitor": 1})
