"""The opt-in tuner: times the candidates of `configs.CANDIDATES` on this machine's GPU and keeps the fastest.

Nothing tunes by itself. ``flagdit-bench --tune``, or `tune`, measures at 16 K tokens and writes the file that
`configs.find_config` reads before its table, one for each device model and set of versions; deleting it undoes all.
Beside it, in ``<name>.timings.json``, lies what was found of each candidate, which is not tried again.
"""

import importlib
import inspect
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flagdit_kernels.bench.clock import Plan, time_call
from flagdit_kernels.bench.operators import OPERATORS, Operator, Shape
from flagdit_kernels.bench.record import CUT_OFF
from flagdit_kernels.configs import CANDIDATES, CONFIGS, Config, architecture, cache_file, find_config, nearest

Timer = Callable[[Callable[[], object], torch.device], float]
Launch = Callable[[Config], tuple[Tensor, ...]]

_log = logging.getLogger(__name__)
# The feed-forward's width beside 32 heads of a width: the presets 5b, 7b and 600m.
_FEED_FORWARD = {96: 8192, 128: 11008, 48: 4096}
_NUM_TOKENS = 2**14
# What may hang is in nothing else's way: what the compiler specialises is late, and what was cut off is the last.
_TURNS = ("first", "specialised", "cut off")
# Two results in half precision that are both right differ by less, relative to their norm.
_TOLERANCE = 2e-2


def by_events(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call by the GPU's own clock, the median of many with a cold cache."""
    return time_call(call, device, Plan()).median


def tune(
    kernels: Sequence[str] | None = None,
    *,
    head_dims: Sequence[int] = tuple(_FEED_FORWARD),
    device: torch.device | str = "cuda",
    timer: Timer = by_events,
    budget: float = math.inf,
) -> Path:
    """Write the fastest configuration of each kernel for this device, and return the file.

    Each candidate has to give what the table's configuration gives, and is then timed; one that fails to compile or to
    launch, or gives another result, is left out with a line in the log. What the file held for other kernels and widths
    stays. Takes minutes, as every candidate is compiled, and goes on where an earlier call ended, in whatever way: to
    time all anew, as after a change of a kernel, delete the file of timings.

    Args:
        kernels: keys of `configs.CANDIDATES`; None for all of them.
        head_dims: of the models to tune for, of 32 heads: 48, 96 and 128 are 1536, 3072 and 4096 channels wide.
        device: a CUDA or ROCm device.
        timer: gives the seconds of a call on a device; the default can only time GPUs.
        budget: seconds after which no candidate is begun.

    Returns:
        The path of the file, `configs.cache_file`.

    Raises:
        FileNotFoundError: there is nowhere to keep the file.
        RuntimeError: there is no GPU, or the call comes while a graph is compiled or captured.
        ValueError: no such kernel or head width.

    Example:
        >>> tune(["swiglu.forward"], head_dims=[96]).relative_to(Path.home() / ".cache/flagdit")  # doctest: +SKIP
        PosixPath('flagdit-kernels-0.1.0_torch-2.13.0_triton-3.6.0_NVIDIA-H200.json')
    """
    end = time.monotonic() + budget
    device = torch.device(device)
    _check_place(device, timer)
    kernels = list(CANDIDATES) if kernels is None else kernels
    _check_known("kernel", kernels, CANDIDATES)
    _check_known("head_dim", head_dims, _FEED_FORWARD)
    subjects = [_Subject.of(kernel) for kernel in kernels]
    path = cache_file(device)
    timings = _Timings(path.with_suffix(".timings.json"), device)
    for turn, head_dim, operator in product(_TURNS, head_dims, OPERATORS):
        width = _width(operator.name, _shape(head_dim))
        ours = [subject for subject in subjects if subject.operator == operator.name]
        due = [subject for subject in ours if time.monotonic() < end and timings.due(subject.kernel, width, turn)]
        try:
            for subject, launch in _launches(operator, head_dim, due, device):
                _try(timings, subject.kernel, width, turn, launch, timer, end)
                _log.info(
                    "%s at width %d: %s", subject.kernel, width, dict(timings.fastest(subject.kernel, width) or {})
                )
        except Exception as error:  # of the table's configurations; other operators have others
            _log.error("%s at width %d: %s", operator.name, width, _reason(error))
            _synchronize(device)
        for subject in ours:
            if best := timings.fastest(subject.kernel, width):
                _write_row(path, subject.kernel, width, best)
    find_config.cache_clear()
    return path


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A kernel under test: the function that launches it, and the argument that takes its configuration."""

    kernel: str
    operator: str
    function: str
    argument: str
    dtype: torch.dtype

    @classmethod
    def of(cls, kernel: str) -> "_Subject":
        """By its name: ``operator.forward``, ``operator.backward_part``, or with ``.float32`` at the end."""
        operator, stage, *dtype = kernel.split(".")
        function, _, part = stage.partition("_")
        return cls(
            kernel=kernel,
            operator=operator,
            function=function,
            argument=f"{part}_config" if part else "config",
            dtype=torch.float32 if dtype else torch.bfloat16,
        )


class _Catch(TorchDispatchMode):
    """Keeps the arguments of the package's operators by name, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's own is untyped
        self.arguments: dict[str, dict[str, Any]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.namespace == "flagdit":
            names = (argument.name for argument in function._schema.arguments)
            kind = "backward" if function._opname.endswith("_backward") else "forward"
            self.arguments[kind] = dict(zip(names, args, strict=False)) | (kwargs or {})
        return function(*args, **(kwargs or {}))


def _launches(
    operator: Operator, head_dim: int, subjects: Sequence[_Subject], device: torch.device
) -> Iterator[tuple[_Subject, Launch]]:
    """What launches each kernel of an operator, given a configuration."""
    for dtype in (torch.bfloat16, torch.float32):
        chosen = [subject for subject in subjects if (subject.operator, subject.dtype) == (operator.name, dtype)]
        if chosen:
            arguments = _arguments(operator, _shape(head_dim), dtype, device)
            module = importlib.import_module(f"flagdit_kernels.ops.{operator.name}.triton")
            for subject in chosen:
                yield subject, _launch(getattr(module, subject.function), arguments[subject.function], subject.argument)


def _launch(function: Callable[..., Any], arguments: Mapping[str, Any], argument: str) -> Launch:
    """A function of the configuration alone."""
    taken = inspect.signature(function).parameters
    given = {name: value for name, value in arguments.items() if name in taken}

    def launch(config: Config) -> tuple[Tensor, ...]:
        with torch.no_grad():
            outputs = function(**given, **{argument: config})
        return (outputs,) if isinstance(outputs, Tensor) else tuple(out for out in outputs if out is not None)

    return launch


def _arguments(operator: Operator, shape: Shape, dtype: torch.dtype, device: torch.device) -> dict[str, dict[str, Any]]:
    """The arguments of an operator's forward and backward, caught from a run of both."""
    registered = getattr(torch.ops.flagdit, operator.name).default
    values = {"eps": 1e-5, "softmax_scale": shape.head_dim**-0.5, "segment_scale": None}
    values |= operator.arguments(shape, dtype, device)
    taken = [argument.name for argument in registered._schema.arguments if not argument.has_default_value()]
    with _Catch() as caught:
        outputs = registered(**{name: values[name] for name in taken})
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        leaves = [value for value in values.values() if isinstance(value, Tensor) and value.requires_grad]
        torch.autograd.grad(outputs, leaves, [torch.randn_like(out) for out in outputs])
    return caught.arguments


class _Timings:
    """What was found of each configuration, seconds or the reason why it has none; and the file that holds it."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self.path, self.device = path, device
        found = json.loads(path.read_text()) if path.exists() else []
        self._found: dict[tuple[object, ...], dict[str, Any]] = {
            _key(each["kernel"], each["width"], each["config"]): each for each in found
        }

    def due(self, kernel: str, width: int, turn: str) -> list[Config]:
        """The configurations that are tried in a turn, the table's first."""
        return [row for row in self._rows(kernel, width) if self._turn(kernel, width, row) == turn]

    def keep(self, kernel: str, width: int, row: Config, **found: float | str) -> None:
        """Write what was found."""
        entry = {"kernel": kernel, "width": width, "config": dict(row), **found}
        self._found[_key(kernel, width, row)] = entry
        _replace(self.path, list(self._found.values()))

    def fastest(self, kernel: str, width: int) -> Config | None:
        """The fastest configuration, the table's if others are as fast; None if none was timed."""
        best = min(self._rows(kernel, width), key=lambda row: self._seconds(kernel, width, row))
        return best if self._seconds(kernel, width, best) < math.inf else None

    def _seconds(self, kernel: str, width: int, row: Config) -> float:
        return float(self._found.get(_key(kernel, width, row), {}).get("seconds", math.inf))

    def _rows(self, kernel: str, width: int) -> list[Config]:
        row = _table_row(kernel, width, self.device)
        return [row, *(candidate for candidate in CANDIDATES[kernel] if candidate != row)]

    def _turn(self, kernel: str, width: int, row: Config) -> str | None:
        found = self._found.get(_key(kernel, width, row))
        if found is None:
            return "specialised" if row.get("WARP_SPECIALIZE") else "first"
        return "cut off" if found.get("reason") == CUT_OFF else None


def _key(kernel: str, width: int, row: Config) -> tuple[object, ...]:
    return kernel, width, *sorted(row.items())


def _try(timings: _Timings, kernel: str, width: int, turn: str, launch: Launch, timer: Timer, end: float) -> None:
    """Time the configurations that have their turn and give what the table's gives."""
    expected = launch(_table_row(kernel, width, timings.device))
    for row in timings.due(kernel, width, turn):
        if time.monotonic() > end:
            break
        timings.keep(kernel, width, row, reason=CUT_OFF)
        try:
            if _agree(launch(row), expected):
                timings.keep(kernel, width, row, seconds=timer(lambda row=row: launch(row), timings.device))  # type: ignore[misc]
                continue
            reason = "gives another result than the table's"
        except Exception as error:  # a compiler has no end of errors; one of the device itself comes again below
            reason = _reason(error)
        timings.keep(kernel, width, row, reason=reason)
        _log.warning("%s: %s: %s", kernel, dict(row), reason)
        _synchronize(timings.device)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _synchronize(device: torch.device) -> None:
    """Wait for the device: what broke it comes up here."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _agree(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    """Whether two results are the same but for rounding; NaN agrees with nothing."""
    return all(
        bool((one.float() - other.float()).norm() <= _TOLERANCE * other.float().norm())
        for one, other in zip(found, expected, strict=True)
    )


def _shape(head_dim: int) -> Shape:
    """16 K tokens of a model of 32 heads."""
    sizes = {"heads": 32, "head_dim": head_dim, "ffn": _FEED_FORWARD[head_dim], "text": 256}
    return Shape(name="tuned", lengths=(_NUM_TOKENS,), **sizes)


def _width(operator: str, shape: Shape) -> int:
    """The width by which an operator looks its configurations up."""
    if operator == "swiglu":
        return shape.ffn
    return shape.head_dim if "attention" in operator else shape.hidden


def _table_row(kernel: str, width: int, device: torch.device) -> Config:
    """The table's configuration, whatever a tuner found before."""
    return nearest(CONFIGS[architecture(device)][kernel], width)


def _check_place(device: torch.device, timer: Timer) -> None:
    """RuntimeError where nothing may be timed."""
    has_gpu = torch.cuda.is_available()
    if torch.compiler.is_compiling() or (has_gpu and torch.cuda.is_current_stream_capturing()):
        raise RuntimeError("tune() compiles and times kernels: call it outside of torch.compile and CUDA graph capture")
    if timer is by_events and not (device.type == "cuda" and has_gpu):
        raise RuntimeError(f"tune() times kernels on a CUDA or ROCm GPU, and {device} is none that PyTorch can use")


def _check_known(what: str, given: Sequence[object], known: Mapping[Any, object]) -> None:
    """ValueError, with what is known, for what is not."""
    for value in given:
        if value not in known:
            raise ValueError(f"no {what} {value!r} to tune; known are {', '.join(map(str, known))}")


def _write_row(path: Path, kernel: str, width: int, row: Config) -> None:
    """Put a row into the file that `configs.find_config` reads."""
    table: dict[str, dict[str, dict[str, int]]] = json.loads(path.read_text()) if path.exists() else {}
    table.setdefault(kernel, {})[str(width)] = dict(row)
    _replace(path, table)


def _replace(path: Path, content: Any) -> None:
    """Write a file as a whole: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)
