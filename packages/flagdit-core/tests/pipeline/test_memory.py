"""Running out of memory is one line that says what was asked for."""

from pathlib import Path

import pytest
import torch

from flagdit_core.errors import OutOfMemoryError
from flagdit_core.pipeline import check_memory, memory, memory_errors
from flagdit_core.pipeline.memory import device_memory

CPU = torch.device("cpu")


def test_what_cannot_fit_is_refused_before_it_is_allocated() -> None:
    """More than the machine has is refused; less is not."""
    available = device_memory(CPU)
    assert available is not None and available > 0
    check_memory(available, CPU, "a picture")
    with pytest.raises(OutOfMemoryError, match="1 picture of 9x9 needs at least"):
        check_memory(available + 1, CPU, "1 picture of 9x9")


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where control groups limit the process, that is what it has; "max" and no file mean no limit."""
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", limit)
    machine = device_memory(CPU)
    limit.write_text("max\n")
    assert device_memory(CPU) == machine
    limit.write_text("1000000\n")
    assert device_memory(CPU) == 1_000_000


def test_the_allocators_errors_become_ours() -> None:
    """What PyTorch raises for an allocation that is too large becomes one line with the size asked for."""
    with pytest.raises(OutOfMemoryError, match="2 pictures of 8x8 is too much"), memory_errors("2 pictures of 8x8"):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_errors_pass() -> None:
    """Only memory errors are turned into memory errors."""
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("a picture"):
        raise RuntimeError("shapes do not agree")
