"""Which backend runs an operator, and why not the other."""

import importlib.util
from typing import Literal

import torch
from torch import Tensor

from flagdit_kernels.errors import BackendUnavailableError

Backend = Literal["auto", "reference", "triton"]

# Every operator, and whether its folder holds a Triton version.
OPERATORS: dict[str, bool] = {
    "rms_norm_modulate": True,
    "layer_norm_modulate": True,
    "gated_residual": True,
    "gated_residual_rms_norm_modulate": True,
    "qk_norm_rope": True,
    "swiglu": True,
    "attention": True,
    "gated_cross_attention": True,
}

# The head dimensions that attention runs in Triton, each as two slabs of powers of two (or one), without padding.
HEAD_SLABS: dict[int, tuple[int, int]] = {
    16: (16, 0),
    32: (32, 0),
    48: (32, 16),
    64: (64, 0),
    80: (64, 16),
    96: (64, 32),
    128: (128, 0),
}

# The operators that are given heads, so that their last axis is the head dimension.
_WITH_HEADS = ("attention", "gated_cross_attention")
_TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_TRITON_INSTALLED = importlib.util.find_spec("triton") is not None


def triton_obstacle(
    operator: str, device: torch.device, dtype: torch.dtype = torch.float32, head_dim: int | None = None
) -> str | None:
    """Why the Triton version of an operator cannot run on a device, a dtype and heads, or None where it can."""
    if not OPERATORS[operator]:
        return f"{operator} has no Triton version yet"
    if device.type != "cuda":
        return f"Triton needs tensors on a CUDA or ROCm device, these are on {device.type!r}"
    if not _TRITON_INSTALLED:
        return "triton is not installed: pip install 'flagdit-kernels[triton]'"
    if _is_too_old(device):
        return "Triton needs an NVIDIA GPU of compute capability 8.0 or more, this one is older"
    if dtype not in _TRITON_DTYPES:
        return f"the Triton version computes in float32, and the tensors are {dtype}"
    if head_dim is not None and head_dim not in HEAD_SLABS:
        return f"head_dim {head_dim} is none of {', '.join(map(str, HEAD_SLABS))}"
    return None


def _is_too_old(device: torch.device) -> bool:
    """Whether this is an NVIDIA GPU that Triton does not support, such as a T4, which has no bfloat16 either."""
    if torch.version.hip is not None or not torch.cuda.is_available():
        return False
    return bool(torch.cuda.get_device_properties(device).major < 8)


def resolve(operator: str, backend: Backend, x: Tensor) -> Literal["reference", "triton"]:
    """The backend that runs on a tensor: the one asked for, or under "auto" Triton wherever it can run.

    Args:
        operator: a name in `OPERATORS`.
        backend: "auto", "reference" or "triton".
        x: a tensor that the operator would run on; its device and dtype decide.

    Returns:
        "reference" or "triton".

    Raises:
        BackendUnavailableError: "triton" was asked for and cannot run here.
        ValueError: no such backend.
    """
    if backend == "reference":
        return "reference"
    if backend not in ("auto", "triton"):
        raise ValueError(f"backend must be 'auto', 'reference' or 'triton', got {backend!r}")
    head_dim = x.shape[-1] if operator in _WITH_HEADS else None
    obstacle = triton_obstacle(operator, x.device, x.dtype, head_dim)
    if obstacle is None:
        return "triton"
    if backend == "triton":
        raise BackendUnavailableError(f"backend='triton' cannot run {operator}: {obstacle}; use backend='auto'")
    return "reference"


def explain(
    operator: str | None = None, device: torch.device | str = "cpu", head_dim: int | None = None
) -> dict[str, dict[str, str]]:
    """Which backend "auto" picks on a device for one operator or for all, and why.

    Args:
        operator: a name in `OPERATORS`; None for all of them.
        device: where the tensors would be; one that is not there is taken to be like the current one.
        head_dim: width of a head, for the operators that are given heads; None leaves it out of account.

    Returns:
        ``{operator: {"backend": "reference" | "triton", "reason": one line}}``, ready for JSON.

    Raises:
        ValueError: no such operator.

    Example:
        >>> explain("swiglu", "cpu")["swiglu"]["backend"]
        'reference'
    """
    if operator is not None and operator not in OPERATORS:
        raise ValueError(f"no operator {operator!r}; known are {', '.join(OPERATORS)}")
    device = torch.device(device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        device = torch.device("cuda")
    choices = {}
    for name in OPERATORS if operator is None else (operator,):
        obstacle = triton_obstacle(name, device, head_dim=head_dim if name in _WITH_HEADS else None)
        choices[name] = {
            "backend": "triton" if obstacle is None else "reference",
            "reason": "Triton is installed and the device can run it" if obstacle is None else obstacle,
        }
    return choices
