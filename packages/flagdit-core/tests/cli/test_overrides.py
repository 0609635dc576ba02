"""--set reads each value as its field's type, and says what there is where it cannot."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from flagdit_core.cli.overrides import apply_overrides
from flagdit_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Two fields that must agree."""

    width: int = 4
    heads: int = 2

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"heads must divide width, got {self.heads} and {self.width}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """One field of each kind."""

    rate: float = 1e-3
    steps: int = 10
    fused: bool = False
    name: str = "x"
    folder: Path = Path("runs")
    mode: Literal["fast", "slow"] = "fast"
    factor: float | Literal["auto"] = 1.0
    limit: int | None = None
    sizes: tuple[int, ...] = (1,)
    betas: tuple[float, float] = (0.9, 0.99)
    anything: dict[str, int] = field(default_factory=dict)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("rate=3e-4", "rate", 3e-4),
        ("steps=7", "steps", 7),
        ("fused=true", "fused", True),
        ("fused=Off", "fused", False),
        ("name=a=b", "name", "a=b"),
        ("name=", "name", ""),
        ("folder=a/b", "folder", Path("a/b")),
        ("mode=slow", "mode", "slow"),
        ("factor=auto", "factor", "auto"),
        ("factor=2", "factor", 2.0),
        ("limit=none", "limit", None),
        ("limit=5", "limit", 5),
        ("sizes=1,2,3", "sizes", (1, 2, 3)),
        ("sizes=[64, 96]", "sizes", (64, 96)),
        ("betas=0.9,0.95", "betas", (0.9, 0.95)),
        ("inner.width=6", "inner", Inner(width=6)),
    ],
)
def test_values_are_read_as_the_fields_type(text: str, name: str, value: object) -> None:
    """Each spelling gives a value of the field's own type."""
    changed = getattr(apply_overrides(Outer(), [text]), name)
    assert changed == value
    assert type(changed) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stepz=7", "its fields are anything, betas"),
        ("inner.depth=7", "Inner has no field 'inner.depth'"),
        ("steps=1.5", "steps must be an integer, got '1.5'"),
        ("steps=", "steps must be an integer"),
        ("rate=fast", "rate must be a number"),
        ("fused=maybe", "true or false"),
        ("mode=medium", "one of fast, slow"),
        ("factor=manual", "one of auto or a number|a number or one of auto"),
        ("betas=0.9", "2 values"),
        ("sizes=1,x", "an integer"),
        ("steps.more=1", "has no fields"),
        ("inner=3", "set one of them"),
        ("anything=3", "cannot be set"),
        ("steps", "name=value"),
        ("=3", "name=value"),
        ("inner.heads=3", "heads must divide width"),
    ],
)
def test_what_does_not_fit_is_explained(text: str, says: str) -> None:
    """Every mistake raises ConfigError with one line that says what was expected."""
    with pytest.raises(ConfigError, match=says) as caught:
        apply_overrides(Outer(), [text])
    assert "\n" not in str(caught.value)


def test_fields_that_must_agree_are_set_together() -> None:
    """Two assignments that are only valid together are, in either order."""
    assert apply_overrides(Outer(), ["inner.heads=3", "inner.width=9"]).inner == Inner(width=9, heads=3)


def test_the_last_assignment_counts_and_the_original_stays() -> None:
    """Repeating a name replaces it; the given instance is not changed."""
    original = Outer()
    assert apply_overrides(original, ["steps=1", "steps=2"]).steps == 2
    assert original == Outer()


def test_a_field_and_its_parent_contradict() -> None:
    """Giving a value to a dataclass and to one of its fields raises, in either order."""
    for assignments in (["inner=1", "inner.width=2"], ["inner.width=2", "inner=1"]):
        with pytest.raises(ConfigError, match="keep one of them"):
            apply_overrides(Outer(), assignments)
