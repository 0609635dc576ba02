"""How a pipeline samples: the settings of one call, whose defaults a model folder keeps."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from flagdit_core.errors import ConfigError
from flagdit_core.flow.samplers import SAMPLERS
from flagdit_core.flow.sde import SDE, SDE_SAMPLERS, LastStep

SDE_PREFIX = "sde-"
SOLVERS = (*SAMPLERS, *(SDE_PREFIX + name for name in SDE_SAMPLERS))
"""Names of all solvers: those called ``sde-...`` add noise on the way, the others follow the velocity alone."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Everything about sampling that is not the prompt, the shape or the seed.

    Attributes:
        num_inference_steps: Solver steps from noise to data; an adaptive solver reads it as its number of outputs.
        guidance_scale: Classifier-free guidance weight; 1 follows the prompt alone and costs half.
        guidance_interval: (start, end) in time t, 0 noise to 1 data, within which guidance acts.
        guidance_rescale: 0 to 1, how far the guided velocity's spread is pulled back to the conditional one's.
        guidance_channels: Guide only the first so many latent channels; None guides all.
        solver: Name of the solver.
        time_shift: Larger than 1 puts more steps near the noise: ``t / (t + f - f t)``.
        ntk_factor: Factor on the rotary base, or "auto": patches over training patches, at least 1.
        rope_scaling_factor: Positions are divided by this; "auto" is the length of a row of tokens over that in
            training, so that the patch below is as far away as it was then.
        proportional_attention: Scale attention logits by the length relative to training.
        projected_flow: Sample what is more than 1.2 times as large as in training (in the geometric mean of the
            sides), or a film that is so much longer, twice: first as in training, then as asked for, following the
            first.
        training_shape: (T, H, W) in latent cells that the network was trained at, for the four above.
        base_sequence_length: Tokens of a training sequence, where it is not the length of ``training_shape``.
        diffusion: Form of a stochastic solver's noise (``flagdit_core.flow.DIFFUSIONS``).
        diffusion_norm: Its strength.
        last_step: How a stochastic solver ends: "mean", "euler", "tweedie" or "none".

    Raises:
        ConfigError: A value is out of its range, or two contradict one another.

    Example:
        >>> SamplingSettings(num_inference_steps=8).replace(solver="midpoint").num_inference_steps
        8
    """

    num_inference_steps: int = 24
    guidance_scale: float = 4.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_rescale: float = 0.0
    guidance_channels: int | None = None
    solver: str = "euler"
    time_shift: float = 1.0
    ntk_factor: float | Literal["auto"] = 1.0
    rope_scaling_factor: float | Literal["auto"] = 1.0
    proportional_attention: bool = False
    projected_flow: bool = False
    training_shape: tuple[int, int, int] | None = None
    base_sequence_length: int | None = None
    diffusion: str = "sigma"
    diffusion_norm: float = 1.0
    last_step: LastStep = "mean"

    def __post_init__(self) -> None:
        _positive_int("num_inference_steps", self.num_inference_steps)
        _number("guidance_scale", self.guidance_scale, 0.0)
        _number("guidance_rescale", self.guidance_rescale, 0.0, 1.0)
        _number("time_shift", self.time_shift, above=0.0)
        for name in ("ntk_factor", "rope_scaling_factor"):
            value = getattr(self, name)
            if value != "auto":
                _number(name, value, above=0.0)
            elif self.training_shape is None:
                raise ConfigError(f"{name}='auto' needs training_shape=(T, H, W) in latent cells")
        if self.guidance_channels is not None:
            _positive_int("guidance_channels", self.guidance_channels)
        if self.base_sequence_length is not None:
            _number("base_sequence_length", self.base_sequence_length, 2.0)
        start, end = _tuple("guidance_interval", self.guidance_interval, "(start, end)", 2)
        if not 0.0 <= start <= end <= 1.0:
            raise ConfigError(f"guidance_interval must be (start, end) with 0 <= start <= end <= 1, got {start}, {end}")
        if self.training_shape is not None:
            for side in _tuple("training_shape", self.training_shape, "(T, H, W)", 3):
                _positive_int("training_shape", side)
        if self.solver not in SOLVERS:
            raise ConfigError(f"unknown solver {self.solver!r}; the solvers are {', '.join(SOLVERS)}")
        if self.is_stochastic and self.num_inference_steps < 2:
            raise ConfigError(f"solver {self.solver!r} needs num_inference_steps of at least 2, the last without noise")
        _ = self.sde  # checks itself
        if self.training_shape is None and self.base_sequence_length is None and self.proportional_attention:
            raise ConfigError("proportional_attention needs training_shape or base_sequence_length")
        if self.training_shape is None and self.projected_flow:
            raise ConfigError("projected_flow needs training_shape=(T, H, W) in latent cells")

    @property
    def is_stochastic(self) -> bool:
        """Whether the solver adds noise on the way."""
        return self.solver.startswith(SDE_PREFIX)

    @property
    def sde(self) -> SDE:
        """The process that a stochastic solver follows."""
        return SDE(diffusion=self.diffusion, norm=self.diffusion_norm, last_step=self.last_step)

    def replace(self, **changes: Any) -> Self:
        """The same settings with some changed; a change of None keeps the present value.

        Args:
            **changes: Field names and values.

        Returns:
            The changed settings.

        Raises:
            ConfigError: A name is unknown or a value out of its range.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        _check_names(given)
        return replace(self, **given)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings stored in ``model_index.json``.

        Args:
            values: Field names and values; JSON lists stand for tuples.

        Returns:
            The settings.

        Raises:
            ConfigError: A name is unknown or a value out of its range.
        """
        _check_names(values)
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """All settings as a JSON-ready mapping."""
        return asdict(self)


def _check_names(values: Mapping[str, Any]) -> None:
    known = [field.name for field in fields(SamplingSettings)]
    if unknown := sorted(values.keys() - set(known)):
        raise ConfigError(f"unknown sampling settings {', '.join(unknown)}; known are {', '.join(known)}")


def _positive_int(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a positive integer, got {value!r}")


def _tuple(name: str, value: object, form: str, length: int) -> tuple[float, ...]:
    """So many numbers from 0 on."""
    if not isinstance(value, tuple | list) or len(value) != length:
        raise ConfigError(f"{name} must be {form}, got {value!r}")
    for item in value:
        _number(name, item, 0.0)
    return tuple(value)


def _number(
    name: str, value: object, low: float = -math.inf, high: float = math.inf, *, above: float | None = None
) -> None:
    """Refuse what is not a finite number in [low, high], or not above a bound."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if is_number and low <= value <= high and (above is None or value > above):  # type: ignore[operator]
        return
    if above is not None:
        expected = f"above {above:g}"
    elif math.isinf(high):
        expected = f"of at least {low:g}"
    else:
        expected = f"from {low:g} to {high:g}"
    raise ConfigError(f"{name} must be a finite number {expected}, got {value!r}")
