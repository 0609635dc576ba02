"""What a run really did, so that nothing degrades silently."""

from dataclasses import dataclass, field
from typing import Any

from flagdit_core.errors import StrictError


@dataclass(kw_only=True)
class Report:
    """Settings used, and everything that differs from what was asked.

    Attributes:
        strict: Raise instead of noting a deviation.
        settings: What was used: kernels, seeds, steps, function evaluations, sizes.
        deviations: One line for each thing dropped, rounded, replaced or cut.

    Example:
        >>> report = Report()
        >>> report.record(seed=7)
        >>> report.deviation("prompt 0: 12 tokens past 128 were dropped")
        >>> report.as_dict()["seed"]
        7
    """

    strict: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    deviations: list[str] = field(default_factory=list)

    def record(self, **values: Any) -> None:
        """Store settings; a later value replaces an earlier one of the same name."""
        self.settings.update(values)

    def deviation(self, message: str) -> None:
        """Note one deviation.

        Args:
            message: One line: what was asked, what was done instead.

        Raises:
            StrictError: ``strict`` is set.
        """
        if self.strict:
            raise StrictError(f"strict: {message}")
        self.deviations.append(message)

    def as_dict(self) -> dict[str, Any]:
        """Settings and deviations as one JSON-ready mapping."""
        return {**self.settings, "deviations": list(self.deviations)}
