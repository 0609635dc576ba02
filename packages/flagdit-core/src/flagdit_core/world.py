"""What evaluation asks of a procedural world: prompts that it can judge, and a verdict on what was made from one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

MISSING = "missing"
"""What is found where nothing is."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A sentence to generate from, and the category that its results are counted in."""

    text: str
    category: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One assertion of a prompt, compared with what was found.

    Attributes:
        kind: What is compared, for example "color" or "relation"; results are counted by it.
        expected: What the prompt asserts.
        found: What the artifact shows.
        passed: Whether the two agree.
    """

    kind: str
    expected: str
    found: str
    passed: bool

    @classmethod
    def of(cls, kind: str, expected: str, found: str) -> Self:
        """A comparison that passes where both are equal."""
        return cls(kind=kind, expected=expected, found=found, passed=found == expected)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All checks of one artifact against its prompt.

    Attributes:
        checks: Each passes or fails.
        measures: What is measured beside them and neither passes nor fails, by name.
    """

    checks: tuple[Check, ...]
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


class World(Protocol):
    """A procedural world: an endless source of captioned media with a verifier that is not learned."""

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """``count`` prompts held out of training, the same for the same seed."""
        ...

    def verify(self, artifact: Any, prompt: str) -> Verdict:
        """Compare what was generated (the modality's own media type) with what the prompt asserts."""
        ...
