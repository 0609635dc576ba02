"""A GPU that is not there: kernels launched on it are compiled for it, reported on and never run.

Tensors live on PyTorch's meta device, which has shapes and no memory, and the operators run the code that they would
run on a GPU. What is compiled is thereby what a launch compiles: the grid, the configuration, the constants and the
alignment that the operator itself passes. As on a real device, Triton refuses a launch that needs more shared memory
than the chip has.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from torch._C import DispatchKey, DispatchKeySet
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from flagdit_kernels import backends, configs, triton_rows


@dataclass(frozen=True, kw_only=True)
class Chip:
    """What is asked of a GPU: its instructions, the shared memory that a program may have, and its processors."""

    target: GPUTarget
    shared_bytes: int
    num_processors: int


# "sm_80" stands for every NVIDIA GPU but Hopper's, so its rows have to fit the smallest: 99 KiB.
CHIPS = {
    "sm_80": Chip(target=GPUTarget("cuda", 80, 32), shared_bytes=99 * 1024, num_processors=108),
    "sm_90": Chip(target=GPUTarget("cuda", 90, 32), shared_bytes=227 * 1024, num_processors=132),
    "gfx942": Chip(target=GPUTarget("hip", "gfx942", 64), shared_bytes=64 * 1024, num_processors=304),
}


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A kernel that a launch compiled: the operator that launched it, the compiler's results, the assembler's words."""

    operator: str
    name: str
    metadata: Mapping[str, Any]
    files: Mapping[str, str]
    log: str

    def text(self, stage: str) -> str:
        """The kernel at a stage of the compiler, "ttir" to "ptx" or "amdgcn"."""
        return Path(self.files[f"{self.name}.{stage}"]).read_text()


class _Driver:
    """The part of Triton's driver protocol that a launch uses; each instance is a device of its own."""

    _devices = itertools.count()

    def __init__(self, chip: Chip) -> None:
        self.chip, self.device = chip, next(self._devices)
        self.utils = self

    def get_current_device(self) -> int:
        return self.device

    def get_current_target(self) -> GPUTarget:
        return self.chip.target

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": self.chip.shared_bytes}

    def load_binary(self, name: str, binary: bytes, shared: int, device: int) -> tuple[Any, ...]:
        return object(), object(), 0, 0, 1024  # module, function, registers, spills, most threads of a program

    def launcher_cls(self, source: Any, metadata: Any) -> Callable[..., None]:
        return self._launch

    def _launch(self, x: int, y: int, z: int, *_: Any) -> None:
        assert 0 < x < 2**31 and 0 < y < 2**16 and 0 < z < 2**16, f"no GPU takes a grid of {x}, {y}, {z}"


class RunOnGPU(TorchDispatchMode):
    """Sends the package's operators to their implementation for GPUs, and holds the results to what was planned."""

    operator = ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace != "flagdit":
            return function(*args, **(kwargs or {}))
        self.operator = function._opname
        with mock.patch.object(backends, "triton_obstacle", lambda *_, **__: None):
            found = function.redispatch(DispatchKeySet(DispatchKey.CUDA), *args, **(kwargs or {}))
        planned = function.redispatch(DispatchKeySet(DispatchKey.Meta), *args, **(kwargs or {}))
        for one, other in zip(*map(tree_leaves, (found, planned)), strict=True):
            assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype), self.operator
        return found


@contextlib.contextmanager
def absent_gpu(architecture: str, folder: Path) -> Iterator[list[Compiled]]:
    """What the package's operators launch inside, on meta tensors, is compiled for an architecture and listed.

    Args:
        architecture: a key of `CHIPS`.
        folder: where Triton puts its files; a caller's temporary one.

    Yields:
        The list, empty at first, with a member for each kernel compiled.
    """
    compiled: list[Compiled] = []
    log, mode = io.StringIO(), RunOnGPU()

    def listen(*, src: Any, metadata: dict[str, Any], metadata_group: dict[str, str], **_: Any) -> None:
        words = log.getvalue()
        log.seek(0)
        log.truncate()
        compiled.append(
            Compiled(operator=mode.operator, name=src.name, metadata=metadata, files=metadata_group, log=words)
        )

    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(log),
        knobs.cache.scope(),
        knobs.compilation.scope(),
        knobs.nvidia.scope(),
    ):
        chip = CHIPS[architecture]
        patch.setattr(driver, "_active", _Driver(chip))
        patch.setattr(triton_rows, "num_processors", lambda device: chip.num_processors)
        patch.setattr(configs, "architecture", lambda device: architecture)
        configs.find_config.cache_clear()
        knobs.cache.dir, knobs.nvidia.dump_ptxas_log = str(folder), True
        knobs.compilation.always_compile, knobs.compilation.listener = True, listen
        with mode:
            yield compiled
    configs.find_config.cache_clear()
