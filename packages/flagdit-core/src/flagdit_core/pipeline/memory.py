"""Running out of memory, said before it happens where that can be known, and in one line where it cannot."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flagdit_core.errors import OutOfMemoryError

if TYPE_CHECKING:
    import torch

# What PyTorch's allocators say; the CPU's raises a plain RuntimeError.
_SIGNS = ("not enough memory", "DefaultCPUAllocator", "can't allocate memory", "out of memory")
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def device_memory(device: "torch.device") -> int | None:
    """All of a device's memory in bytes, or None where it cannot be told.

    Args:
        device: A CPU or CUDA/ROCm device.

    Returns:
        Bytes, used ones included; of a container, what it may use.
    """
    import torch

    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "cpu" and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return min(machine, _container_limit() or machine)
    return None


def check_memory(needed: int, device: "torch.device", what: str) -> None:
    """Refuse what cannot fit, before any of it is allocated.

    Args:
        needed: Lower bound of the bytes that must be there at one time.
        device: Where.
        what: What was asked for, sizes included.

    Raises:
        OutOfMemoryError: The device has less memory than that in all.
    """
    available = device_memory(device)
    if available is not None and needed > available:
        raise OutOfMemoryError(
            f"out of memory: {what} needs at least {_spell(needed)}, but {device} has {_spell(available)} in all; "
            "ask for less at once"
        )


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Turn the allocators' errors into ours.

    Args:
        what: What was asked for, sizes included.

    Yields:
        Nothing.

    Raises:
        OutOfMemoryError: Memory ran out in the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"out of memory: {what} is too much for this device; ask for less at once") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of whatever library says that memory ran out."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
    )


def _container_limit() -> int | None:
    """What this process's container may use, where Linux control groups (version 2) limit it."""
    try:
        text = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _spell(num_bytes: int) -> str:
    """A number of bytes with a unit."""
    amount = float(num_bytes)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.3g} {unit}"
