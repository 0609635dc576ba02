"""What a suite hands to the runner."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch


class UnavailableError(RuntimeError):
    """An implementation cannot run here; the message is the reason that goes into the JSON."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Where a suite is to run.

    Attributes:
        device: Of all tensors.
        quick: Only see that it runs: tiny sizes, whose numbers mean nothing.
    """

    device: torch.device
    quick: bool = False


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One implementation, ready to be held to what it should compute and then timed.

    Attributes:
        call: What is timed; it must neither change its inputs nor keep anything.
        gate: Raises `RedGateError` unless ``call`` computes the right thing.
        backend: Which backend runs, where one is chosen.
    """

    call: Callable[[], object]
    gate: Callable[[], None]
    backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One computation at one size, and everyone who offers it.

    Attributes:
        name: What is computed.
        settings: Shape, dtype, direction and the like; a case is its name and settings.
        work: What one call does, for rates: "flops", "bytes" or "tokens".
        implementations: Names; ours, "flagdit", is the first.
        prepare: Draws the inputs, once for all, and returns what makes the trial of an implementation; both may raise
            `UnavailableError`.
        once: Too long to repeat: one call, without warm-up.
    """

    name: str
    settings: Mapping[str, str | int]
    implementations: tuple[str, ...]
    prepare: Callable[[], Callable[[str], Trial]]
    work: Mapping[str, int] = field(default_factory=dict)
    once: bool = False

    @property
    def title(self) -> str:
        """Name and settings in a line; what ``--only`` searches, by itself and with an implementation behind it."""
        return " ".join([self.name, *map(str, self.settings.values())])


Suite = Callable[[Conditions], Iterable[Case]]
