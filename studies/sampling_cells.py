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
    """A solver at several numbers of steps."""
    return tuple(Cell(sampling={"solver": solver, "num_inference_steps": number, **more}) for number in steps)


def _sizes(sizes: Sequence[Size], switches: Sequence[Mapping[str, Any]]) -> tuple[Cell, ...]:
    """Every size with every set of switches."""
    return tuple(Cell(size=size, sampling=switch) for size in sizes for switch in switches)


_SOLVERS = (
    *_steps("euler", 24, 12, 8, 6, 4),
    *_steps("midpoint", 6),
    *(cell for guidance in (2.5, 6.0) for cell in _steps("euler", FEW_STEPS, guidance_scale=guidance)),
    *_steps("euler", FEW_STEPS, time_shift=2.0),
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

# A row of the switches is one way to sample at a size that was not trained; "as trained" is no switch at all.
_NONE = {"rope_scaling_factor": 1.0}
_ROWS = {"rope_scaling_factor": "auto"}
_NTK = {"rope_scaling_factor": 1.0, "ntk_factor": "auto"}
_SHIFT, _PROPORTIONAL = {"time_shift": 1.5}, {"proportional_attention": True}
_SINGLE = (_NONE, _ROWS, _NTK, {**_NONE, **_SHIFT}, {**_NONE, **_PROPORTIONAL})
_WITH_ROWS = ({**_NTK, **_ROWS}, {**_ROWS, **_SHIFT}, {**_ROWS, **_PROPORTIONAL})
_ALL = {**_NTK, **_ROWS, **_SHIFT, **_PROPORTIONAL}
_ALONG = (
    *(_NONE, _NTK, {**_NONE, **_SHIFT}, {**_NONE, **_PROPORTIONAL}),
    *({**_NTK, **_SHIFT}, {**_NTK, **_PROPORTIONAL}, {**_NTK, **_SHIFT, **_PROPORTIONAL}),
)

_EXTRAPOLATION: dict[str, dict[str, tuple[Cell, ...]]] = {
    "image/nano": {
        "sizes": (
            Cell(),
            *_sizes([(192, 192)], (*_SINGLE, *_WITH_ROWS, _ALL)),
            *_sizes([(192, 96), (96, 192)], (*_SINGLE, *_WITH_ROWS, _ALL)),
            *_sizes([(256, 256)], (_NONE, _ROWS, {**_NTK, **_ROWS}, _ALL)),
        )
    },
    "video/nano": {"durations": (Cell(), *(Cell(options={"frames": 16}, sampling=switch) for switch in _ALONG))},
    "audio/nano": {"durations": (Cell(), *(Cell(options={"seconds": 6.4}, sampling=switch) for switch in _ALONG))},
}
