"""Where and in what precision networks run, chosen by name."""

import os
from typing import TYPE_CHECKING

from flagdit_core.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    import torch

_DTYPES = ("float32", "bfloat16", "float16")


def pick_device(name: str | None) -> "torch.device":
    """The device of that name, or a GPU if there is one.

    Args:
        name: Such as "cpu" or "cuda:1"; None picks, and processes that ``torchrun`` started pick different GPUs.

    Returns:
        The device.

    Raises:
        ConfigError: It is no device's name.
        BackendUnavailableError: It is not there, or has no float64, as Apple's "mps".
    """
    import torch

    if name is None:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device must be cpu, cuda or cuda:N, got {name!r}") from error
    try:
        torch.empty(1, dtype=torch.float64, device=device)  # rotary angles are computed in it: see rotary_cos_sin
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise BackendUnavailableError(
            f"device {name!r} is not available here, or has no float64; leave it out, or use cpu"
        ) from error
    return device


def pick_dtype(name: str) -> "torch.dtype":
    """The floating-point type of that name.

    Args:
        name: float32, bfloat16 or float16.

    Returns:
        The type.

    Raises:
        ConfigError: It is another.
    """
    import torch

    if name not in _DTYPES:
        raise ConfigError(f"dtype must be one of {', '.join(_DTYPES)}, got {name!r}")
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype
