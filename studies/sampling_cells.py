"""Which ways of sampling are compared: the cells of each model's tables, the most telling ones first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import SamplingSettings

Size = tuple[int, int]

FEW_STEPS = 12
"""Euler steps at which guidance and time shift are varied."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One way to sample.

    Attributes:
        sampling: What differs from the model's own settings.
        size: (width, height) in pixels; None is the model's own.
        options: The modality's own options, such as a duration.
    """

    sampling: Mapping[str, Any] = field(default_factory=dict)
    size: Size | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, own: SamplingSettings) -> SamplingSettings:
        """All settings of this cell, of a model whose own are given."""
        return own.replace(**self.sampling)

    @property
    def name(self) -> str:
        """What is varied, in words: "192x192 ntk_factor=auto"."""
        size = [] if self.size is None else [f"{self.size[0]}x{self.size[1]}"]
        return " ".join([*size, *(f"{name}={value}" for name, value in {**self.options, **self.sampling}.items())])


def table_of(model: str, table: str) -> tuple[Cell, ...]:
    """The cells of a table.

    Args:
        model: A shipped model, such as "image/nano".
        table: "solvers", or what else there is for this model.

    Returns:
        Cells, of which the first is what the others are compared with.

    Raises:
        ConfigError: There is no such table.
    """
    tables = {"solvers": _SOLVERS, **_EXTRAPOLATION.get(model, {})}
    if table not in tables:
        raise ConfigError(f"{model} has no table {table!r}; it has {', '.join(tables)}")
    return tables[table]


def _steps(solver: str, *steps: int, **more: Any) -> tuple[Cell, ...]:
    """A solver at several numbers of steps, without the model's own time shift."""
    plain = {"solver": solver, "time_shift": 1.0}
    return tuple(Cell(sampling={**plain, "num_inference_steps": number, **more}) for number in steps)


_SOLVERS = (
    *_steps("euler", 24, 12, 8, 6, 4),
    *_steps("midpoint", 6),
    *(cell for guidance in (1.0, 2.5, 6.0) for cell in _steps("euler", FEW_STEPS, guidance_scale=guidance)),
    *_steps("euler", FEW_STEPS, 10, 16, 8, 24, time_shift=2.0),
    *_steps("midpoint", 4, 3),
    *_steps("heun", 6, 4, 3),
    *_steps("rk4", 3, 2),
    *(cell for last in (0.8, 0.6) for cell in _steps("euler", FEW_STEPS, guidance_interval=(0.0, last))),
    *_steps("euler", FEW_STEPS, guidance_scale=1.5),
    *(cell for shift in (1.5, 3.0) for cell in _steps("euler", FEW_STEPS, time_shift=shift)),
    *_steps("euler", 16, 48),
    *_steps("midpoint", 12, 8),
    *_steps("heun", 12, 8),
    *_steps("rk4", 6, 4),
)

_FEW = {"solver": "euler", "time_shift": 1.0, "num_inference_steps": FEW_STEPS}
_TRAINED = Cell(sampling=_FEW)
# What a size or duration that was not trained is sampled with: nothing, one switch, or several.
_NONE = {"rope_scaling_factor": 1.0, "ntk_factor": 1.0, "projected_flow": False}
_ROWS = {"rope_scaling_factor": "auto", "ntk_factor": 1.0, "projected_flow": False}
_NTK = {"ntk_factor": "auto"}
_SHIFT = {"time_shift": 1.5}
_PROPORTIONAL = {"proportional_attention": True}
_PROJECTED = {**_NONE, "projected_flow": True}
_SINGLE = tuple({**_NONE, **switch} for switch in (_NTK, _SHIFT, _PROPORTIONAL))
_WITH_PROJECTED = tuple({**_PROJECTED, **switch} for switch in (_NTK, _SHIFT, _PROPORTIONAL))
_ALONG = (_NONE, *_SINGLE, {**_NONE, **_NTK, **_SHIFT}, {**_NONE, **_NTK, **_SHIFT, **_PROPORTIONAL})
_SAME_AREA = ((192, 96), (96, 192), (160, 96), (96, 160), (144, 112))
_LARGER = ((192, 192), (256, 256), (256, 128), (128, 256))


def _sizes(*sizes: Size, switches: Sequence[Mapping[str, Any]]) -> tuple[Cell, ...]:
    """Every size with every set of switches."""
    return tuple(Cell(size=size, sampling={**_FEW, **switch}) for size in sizes for switch in switches)


def _durations(switches: Sequence[Mapping[str, Any]], **options: float) -> tuple[Cell, ...]:
    """The trained duration, and another one with every set of switches."""
    return (_TRAINED, *(Cell(options=options, sampling={**_FEW, **switch}) for switch in switches))


_EXTRAPOLATION: dict[str, dict[str, tuple[Cell, ...]]] = {
    "image/nano": {
        "sizes": (
            _TRAINED,
            *_sizes(*_LARGER, switches=(_NONE, _PROJECTED)),
            *_sizes(*_SAME_AREA, switches=(_NONE,)),
            *_sizes(*_LARGER[:2], switches=(*_SINGLE, *_WITH_PROJECTED)),
        )
    },
    "video/nano": {"durations": _durations((_NONE, _PROJECTED, *_SINGLE, *_WITH_PROJECTED), frames=16)},
    "audio/nano": {"durations": _durations((_NONE, _ROWS, *_ALONG[1:]), seconds=6.4)},
}
