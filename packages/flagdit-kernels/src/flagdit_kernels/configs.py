"""The one table of launch configurations: architecture, kernel ("<operator>.<pass>") and width.

No row has been timed on a GPU. They were chosen by what the compiler reports for each target (registers, spills, shared
memory, matrix instructions); `CANDIDATES` are the alternatives that the tuner measures, and what it finds is read from
`cache_file`. A configuration holds the block sizes and switches of a kernel in capitals beside ``num_warps`` and
``num_stages``.

Architectures: "sm_90" is Hopper; "sm_80" every other NVIDIA GPU, Ampere and newer, so its rows stay below 99 KiB of
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
Shapes = dict[int, tuple[int, int, int]]


def config(**constants: int) -> Config:
    """A frozen mapping of launch constants."""
    return MappingProxyType(constants)


# Kernels that walk tiles of rows (see `triton_rows`), by how many registers they need.
_ROW_KERNELS = {
    "rms_norm_modulate.forward": "light",
    "rms_norm_modulate.backward": "medium",
    "layer_norm_modulate.forward": "light",
    "layer_norm_modulate.backward": "medium",
    "gated_residual.forward": "medium",
    "gated_residual.backward": "medium",
    "gated_residual_rms_norm_modulate.forward": "medium",
    "gated_residual_rms_norm_modulate.backward": "heavy",
    "qk_norm_rope.forward": "light",
    "qk_norm_rope.backward": "medium",
}
# Width: rows at a time, programs a processor, warps. A processor has 48 to 64 KiB of rows on their way.
_NVIDIA_SHAPES: dict[str, Shapes] = {
    "light": {512: (4, 8, 2), 1024: (2, 8, 2), 2048: (2, 4, 4), 4096: (2, 2, 8)},
    "medium": {512: (2, 8, 2), 1024: (2, 4, 4), 2048: (2, 2, 8), 4096: (1, 2, 8)},
    "heavy": {512: (1, 8, 2), 1024: (1, 4, 4), 2048: (1, 2, 8), 4096: (1, 1, 16)},
}
# A warp of 64 lanes takes 512 values by loads of 16 bytes, so a row of 2048 has no work for 8.
_AMD_SHAPES: dict[str, Shapes] = {
    "light": {512: (4, 8, 1), 1024: (2, 8, 2), 2048: (2, 4, 4), 4096: (2, 2, 8)},
    "medium": {512: (2, 8, 1), 1024: (1, 8, 2), 2048: (1, 4, 4), 4096: (1, 2, 8)},
    "heavy": {512: (1, 8, 1), 1024: (1, 8, 2), 2048: (1, 4, 4), 4096: (1, 2, 8)},
}


def _row_config(rows: int, num_stages: int, programs: int, num_warps: int) -> Config:
    return config(ROWS=rows, NUM_STAGES=num_stages, PROGRAMS=programs, num_warps=num_warps)


def _row_kernels(num_stages: int, shapes: dict[str, Shapes]) -> dict[str, Rows]:
    """All kernels that walk rows; wider than 4096 nothing is fetched ahead, so that shared memory always suffices."""
    return {
        kernel: {width: _row_config(rows, num_stages, *rest) for width, (rows, *rest) in shapes[weight].items()}
        | {8192: _row_config(1, 1, 2, 16)}
        for kernel, weight in _ROW_KERNELS.items()
    }


_SWIGLU: dict[str, Rows] = {
    f"swiglu.{direction}": {512: config(BLOCK_L=2, BLOCK_F=1024, num_warps=4)} for direction in ("forward", "backward")
}

# Attention to a text, by head dimension: queries and keys at a time, warps, stages. On Hopper a forward program stays
# within 128 registers, so that a processor holds two and one loads while the other multiplies.
_TEXT_BLOCKS: dict[str, dict[str, dict[int, tuple[int, int, int, int]]]] = {
    "sm_90": {
        "forward": {48: (128, 64, 8, 2), 96: (128, 32, 8, 3), 128: (128, 32, 8, 3)},
        "backward_dq": {48: (128, 64, 8, 2), 96: (128, 64, 8, 2), 128: (128, 64, 8, 2)},
        "backward_dkdv": {48: (64, 128, 8, 2), 96: (64, 128, 8, 2), 128: (32, 128, 8, 2)},
    },
    "sm_80": {
        "forward": {48: (128, 64, 8, 2), 96: (128, 64, 8, 2), 128: (128, 64, 8, 2)},
        "backward_dq": {48: (128, 32, 8, 2), 96: (128, 32, 8, 2), 128: (128, 32, 8, 2)},
        "backward_dkdv": {48: (32, 64, 4, 2), 96: (16, 128, 8, 2), 128: (16, 64, 4, 2)},
    },
    "gfx942": {
        "forward": {48: (128, 32, 4, 2), 96: (64, 32, 4, 2), 128: (64, 32, 4, 2)},
        "backward_dq": {48: (64, 32, 4, 2), 96: (64, 32, 4, 2), 128: (64, 32, 4, 2)},
        "backward_dkdv": {48: (32, 64, 4, 2), 96: (32, 64, 4, 2), 128: (32, 64, 4, 2)},
    },
}
_TEXT_FLOAT32 = {"forward": (32, 32, 4, 2), "backward_dq": (32, 16, 4, 2), "backward_dkdv": (16, 32, 4, 2)}


def _text_config(direction: str, block_m: int, block_n: int, num_warps: int, num_stages: int) -> Config:
    shares = {"MIN_PROGRAMS": 1056, "MIN_QUERIES": 1024} if direction == "backward_dkdv" else {}
    return config(BLOCK_M=block_m, BLOCK_N=block_n, **shares, num_warps=num_warps, num_stages=num_stages)


def _text_kernels(architecture: str) -> dict[str, Rows]:
    """The kernels of gated_cross_attention; in float32, which has no matrix units, with small blocks."""
    kernels: dict[str, Rows] = {}
    for direction, rows in _TEXT_BLOCKS[architecture].items():
        kernel, float32 = f"gated_cross_attention.{direction}", _TEXT_FLOAT32[direction]
        kernels[kernel] = {width: _text_config(direction, *blocks) for width, blocks in rows.items()}
        kernels[f"{kernel}.float32"] = {width: _text_config(direction, *float32) for width in rows}
    return kernels


# Attention, by head dimension: queries and keys at a time, warps, stages; then whether tensor descriptors are used, the
# compiler's warp specialisation (with 4 warps only, never a default before it is proven on a GPU), and the programs
# that a processor holds, 0 for one program a tile. More than fit by registers and shared memory would run one after
# another.
_ATTENTION_BLOCKS: dict[str, dict[str, dict[int, tuple[int, ...]]]] = {
    "sm_90": {
        "forward": {48: (128, 64, 8, 2, 1, 0, 2), 96: (128, 128, 8, 2, 1, 0, 1), 128: (128, 128, 8, 2, 1, 0, 1)},
        "backward_dq": {48: (64, 64, 4, 2, 1, 0, 2), 96: (128, 64, 8, 2, 1, 0, 1), 128: (128, 64, 8, 2, 1, 0, 1)},
        "backward_dkdv": {48: (64, 64, 4, 2, 1, 0, 2), 96: (64, 128, 8, 2, 1, 0, 1), 128: (64, 64, 4, 2, 1, 0, 2)},
    },
    "sm_80": {
        "forward": {48: (128, 64, 8, 2), 96: (128, 32, 8, 3), 128: (128, 32, 8, 3)},
        "backward_dq": {48: (128, 64, 8, 2), 96: (128, 64, 8, 2), 128: (128, 32, 8, 2)},
        "backward_dkdv": {48: (64, 64, 4, 2), 96: (32, 128, 8, 2), 128: (64, 64, 8, 2)},
    },
    "gfx942": {
        "forward": {48: (128, 64, 4, 1), 96: (128, 64, 8, 1), 128: (128, 64, 8, 1)},
        "backward_dq": {48: (64, 32, 4, 1), 96: (64, 32, 4, 1), 128: (64, 32, 4, 1)},
        "backward_dkdv": {48: (32, 64, 4, 1), 96: (32, 64, 4, 1), 128: (32, 64, 4, 1)},
    },
}
_ATTENTION_FLOAT32 = {"forward": (32, 16, 4, 1), "backward_dq": (16, 16, 4, 1), "backward_dkdv": (16, 32, 4, 1)}
_ATTENTION_DELTA = {"attention.backward_delta": {128: config(BLOCK_M=64, num_warps=4)}}


def _attention_config(
    direction: str,
    block_m: int,
    block_n: int,
    num_warps: int,
    num_stages: int,
    tma: int = 0,
    warp_specialize: int = 0,
    programs_per_sm: int = 0,
) -> Config:
    specialise = {} if direction == "backward_dq" else {"WARP_SPECIALIZE": warp_specialize}
    blocks = {"BLOCK_M": block_m, "BLOCK_N": block_n, "TMA": tma, "PROGRAMS_PER_SM": programs_per_sm}
    return config(**blocks, **specialise, num_warps=num_warps, num_stages=num_stages)


def _attention_kernels(architecture: str) -> dict[str, Rows]:
    """The kernels of attention; in float32, which has no matrix units, with small blocks."""
    kernels: dict[str, Rows] = {**_ATTENTION_DELTA}
    for direction, rows in _ATTENTION_BLOCKS[architecture].items():
        kernel, float32 = f"attention.{direction}", _ATTENTION_FLOAT32[direction]
        kernels[kernel] = {width: _attention_config(direction, *blocks) for width, blocks in rows.items()}
        kernels[f"{kernel}.float32"] = {128: _attention_config(direction, *float32)}
    return kernels


CONFIGS: dict[str, dict[str, Rows]] = {
    "sm_90": {**_row_kernels(3, _NVIDIA_SHAPES), **_SWIGLU, **_text_kernels("sm_90"), **_attention_kernels("sm_90")},
    "sm_80": {**_row_kernels(2, _NVIDIA_SHAPES), **_SWIGLU, **_text_kernels("sm_80"), **_attention_kernels("sm_80")},
    "gfx942": {**_row_kernels(2, _AMD_SHAPES), **_SWIGLU, **_text_kernels("gfx942"), **_attention_kernels("gfx942")},
}

# Held by a processor and fetching ahead, or many and short.
_ROW_CANDIDATES = {
    "forward": ((1, 3, 2, 8), (2, 3, 2, 8), (2, 4, 2, 8), (2, 3, 4, 4), (4, 3, 2, 8), (1, 1, 64, 4), (2, 1, 64, 8)),
    "backward": ((1, 3, 2, 8), (2, 3, 2, 8), (1, 4, 2, 8), (1, 3, 4, 4), (1, 3, 1, 16), (2, 3, 1, 16), (1, 1, 4, 8)),
}
_TEXT_CANDIDATES = {
    "forward": ((128, 32, 8, 3), (128, 64, 8, 2), (128, 64, 8, 3), (64, 64, 4, 2), (64, 32, 4, 3)),
    "backward_dq": ((128, 64, 8, 2), (128, 32, 8, 2), (128, 32, 8, 3), (64, 64, 4, 2), (64, 32, 4, 2)),
    "backward_dkdv": ((32, 128, 8, 2), (64, 128, 8, 2), (64, 64, 8, 2), (32, 64, 4, 2), (16, 64, 4, 2)),
}
_ATTENTION_CANDIDATES: dict[str, tuple[tuple[int, ...], ...]] = {
    "forward": (
        (128, 128, 8, 2, 1, 0, 1),
        (128, 64, 8, 3, 1, 0, 1),
        (128, 64, 8, 2, 1, 0, 2),
        (64, 128, 4, 2, 1, 0, 2),
        (128, 128, 4, 2, 1, 1, 1),
        (128, 64, 8, 3),
        (128, 64, 4, 1),
    ),
    "backward_dq": (
        (128, 64, 8, 2, 1, 0, 1),
        (64, 64, 4, 2, 1, 0, 2),
        (128, 64, 8, 2),
        (64, 32, 4, 1),
    ),
    "backward_dkdv": (
        (64, 128, 8, 2, 1, 0, 1),
        (64, 64, 4, 2, 1, 0, 2),
        (32, 128, 8, 2, 1, 0, 1),
        (64, 64, 4, 2, 1, 1, 1),  # the compiler fails on 128 keys where query heads share them
        (64, 64, 8, 2),
        (32, 64, 4, 1),
    ),
}
# What the tuner may try for a kernel, beside its row.
CANDIDATES: dict[str, tuple[Config, ...]] = {
    **{
        kernel: tuple(_row_config(*candidate) for candidate in _ROW_CANDIDATES[kernel.rpartition(".")[2]])
        for kernel in _ROW_KERNELS
    },
    **{
        kernel: tuple(
            config(BLOCK_L=rows, BLOCK_F=columns, num_warps=num_warps)
            for rows, columns, num_warps in ((1, 1024, 4), (2, 1024, 4), (4, 512, 4), (4, 1024, 8), (1, 2048, 4))
        )
        for kernel in _SWIGLU
    },
    **{
        f"gated_cross_attention.{direction}": tuple(_text_config(direction, *candidate) for candidate in candidates)
        for direction, candidates in _TEXT_CANDIDATES.items()
    },
    **{
        f"attention.{direction}": tuple(_attention_config(direction, *candidate) for candidate in candidates)
        for direction, candidates in _ATTENTION_CANDIDATES.items()
    },
    "attention.backward_delta": tuple(config(BLOCK_M=rows, num_warps=4) for rows in (16, 32, 64, 128)),
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
    return nearest(rows, width)


def nearest(rows: Rows, width: int) -> Config:
    """The row of a width or of the next larger one, the widest where none is larger."""
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

    Raises:
        FileNotFoundError: ``XDG_CACHE_HOME`` is not set, and the user has no home folder.
    """
    import triton  # only a machine that runs kernels needs it

    model = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    try:
        package = importlib.metadata.version("flagdit-kernels")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        package = "checkout"
    name = f"flagdit-kernels-{package}_torch-{torch.__version__}_triton-{triton.__version__}_{model}"
    name = re.sub(r"[^a-zA-Z0-9_.-]+", "-", name)
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise FileNotFoundError("no home folder to keep what the tuner finds: set XDG_CACHE_HOME to one") from error
    return cache / "flagdit" / f"{name}.json"


def _tuned(device: torch.device) -> dict[str, Rows]:
    """The rows that the tuner wrote for a device; none without a file that this user may read."""
    try:
        path = cache_file(device)
        found = json.loads(path.read_text(encoding="utf-8"))
        return {kernel: _check_rows(kernel, rows, device) for kernel, rows in found.items()}
    except OSError:
        return {}
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
