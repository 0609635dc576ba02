"""The one table of launch configurations: architecture, kernel ("<operator>.<pass>") and width.

No row has been timed on a GPU. They were chosen by what the compiler reports for each target (registers, spills, shared
memory, matrix instructions); `CANDIDATES` are the alternatives that the tuner measures, and what it finds is read from
`cache_file`. A configuration holds the block sizes and switches of a kernel in capitals beside ``num_warps`` and
``num_stages``.

Architectures: "sm_90" is Hopper; "sm_80" every other NVIDIA GPU, older and newer, so its rows stay below 99 KiB of
shared memory and use no Hopper instructions (Triton's interpreter reads them too); "gfx942" every AMD GPU, its rows
below 64 KiB. Where a kernel differs in float32 it has a second name, ending in ".float32".
"""

import functools
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch

Config = Mapping[str, int]
Rows = Mapping[int, Config]


def config(**constants: int) -> Config:
    """A frozen mapping of launch constants."""
    return MappingProxyType(constants)


def _whole_rows(**constants: int) -> Rows:
    """A kernel whose program holds whole rows: a warp for each 512 values."""
    return {width: config(**constants, num_warps=max(width // 512, 1)) for width in (512, 1024, 2048, 4096, 8192)}


# Kernels bound by memory have the same rows on every architecture.
_POINTWISE: dict[str, Rows] = {
    "rms_norm_modulate.forward": _whole_rows(ROWS=4),
    "rms_norm_modulate.backward": _whole_rows(MIN_ROWS=32, MAX_TILES=512),
    "qk_norm_rope.forward": _whole_rows(),
    "qk_norm_rope.backward": _whole_rows(MIN_ROWS=16, MAX_TILES=512),
    "swiglu.forward": {512: config(BLOCK_L=4, BLOCK_F=512, num_warps=4)},
    "swiglu.backward": {512: config(BLOCK_L=4, BLOCK_F=512, num_warps=4)},
}

CONFIGS: dict[str, dict[str, Rows]] = {
    "sm_90": {**_POINTWISE},
    "sm_80": {**_POINTWISE},
    "gfx942": {**_POINTWISE},
}

# What the tuner may try for a kernel, beside its row.
CANDIDATES: dict[str, tuple[Config, ...]] = {
    "rms_norm_modulate.forward": tuple(config(ROWS=r, num_warps=w) for r in (1, 4, 8) for w in (4, 8)),
    "rms_norm_modulate.backward": tuple(
        config(MIN_ROWS=32, MAX_TILES=tiles, num_warps=w) for tiles in (264, 512, 1056) for w in (4, 8)
    ),
    "qk_norm_rope.forward": tuple(config(num_warps=w) for w in (4, 8, 16)),
    "qk_norm_rope.backward": tuple(
        config(MIN_ROWS=16, MAX_TILES=tiles, num_warps=w) for tiles in (264, 512, 1056) for w in (4, 8)
    ),
    "swiglu.forward": tuple(config(BLOCK_L=b, BLOCK_F=f, num_warps=4) for b in (1, 4) for f in (512, 1024)),
    "swiglu.backward": tuple(config(BLOCK_L=b, BLOCK_F=f, num_warps=4) for b in (1, 4) for f in (512, 1024)),
}


@functools.cache
def find_config(kernel: str, width: int, dtype: torch.dtype, device: torch.device) -> Config:
    """The configuration that a kernel is launched with: the tuner's where it has one, else the table's.

    The row is that of the width or of the next larger one, of the widest where none is larger. Answers are kept for the
    process; after writing `cache_file`, ``find_config.cache_clear()``.

    Args:
        kernel: "<operator>.<pass>", without ".float32".
        width: head_dim of an attention kernel, channels of a row for the others.
        dtype: of the tensors.
        device: where they are.

    Returns:
        Launch constants by name, to be passed on as keywords.

    Raises:
        ValueError: the tuner's file is damaged.
    """
    table = CONFIGS[architecture(device)]
    name = f"{kernel}.float32" if dtype == torch.float32 and f"{kernel}.float32" in table else kernel
    rows = {**table[name], **_tuned(device).get(name, {})}
    return rows[min((w for w in rows if w >= width), default=max(rows))]


def architecture(device: torch.device) -> str:
    """The first key of `CONFIGS` that a device reads."""
    if device.type != "cuda":
        return "sm_80"
    if torch.version.hip is not None:
        return "gfx942"
    return "sm_90" if torch.cuda.get_device_capability(device)[0] == 9 else "sm_80"


def cache_file(device: torch.device) -> Path:
    """Where the tuner keeps what it measured: one file for each device model and set of versions.

    JSON, ``{kernel: {width: {constant: number}}}``, under ``$XDG_CACHE_HOME/flagdit`` or ``~/.cache/flagdit``.

    Args:
        device: the device that was measured.

    Returns:
        The path of the file, which need not exist.
    """
    import triton  # only a machine that runs kernels needs it

    model = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    package = importlib.metadata.version("flagdit-kernels")
    name = f"flagdit-kernels-{package}_torch-{torch.__version__}_triton-{triton.__version__}_{model}"
    name = re.sub(r"[^\w.+-]+", "-", name)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "flagdit" / f"{name}.json"


def _tuned(device: torch.device) -> dict[str, Rows]:
    """The rows that the tuner wrote for a device; none without a file."""
    path = cache_file(device)
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        return {kernel: _check_rows(kernel, rows, device) for kernel, rows in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no table of kernel configurations ({type(error).__name__}: {error}); "
            "delete it, or run the tuner again"
        ) from None


def _check_rows(kernel: str, rows: dict[str, dict[str, int]], device: torch.device) -> Rows:
    """Rows read from a file, each with the constants that the kernel takes and no others."""
    constants = next(iter(CONFIGS[architecture(device)][kernel].values())).keys()
    for width, row in rows.items():
        if row.keys() != constants or any(type(value) is not int for value in row.values()):
            raise ValueError(f"{kernel} at width {width} needs integers {', '.join(constants)}")
    return {int(width): config(**row) for width, row in rows.items()}
