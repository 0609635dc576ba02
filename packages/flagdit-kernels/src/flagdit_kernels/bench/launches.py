"""The kernels that a call launches, as Triton compiled them: for the profile of what falls short."""

import sys
from collections.abc import Callable, Iterator
from typing import Any


def launches_of(call: Callable[[], object]) -> list[dict[str, Any]]:
    """What one call launches of our Triton kernels.

    The kernels that were compiled before are forgotten first, so that those found afterwards are this call's; Triton's
    cache on disk makes that cheap.

    Args:
        call: An operator's call.

    Returns:
        One entry for each compiled kernel, as `compiled_kernels` gives them.
    """
    for function in _functions():
        function.device_caches.clear()
    call()
    return list(compiled_kernels())


def compiled_kernels() -> Iterator[dict[str, Any]]:
    """Kernels that are compiled and loaded in this process.

    Yields:
        Name, launch configuration, registers of a thread, bytes that it spills, bytes of shared memory.
    """
    for function in _functions():
        for kernels, *_ in function.device_caches.values():
            for kernel in kernels.values():
                names = function.arg_names
                constants = {names[key[0]]: value for key, value in kernel.src.constants.items() if len(key) == 1}
                yield {
                    "kernel": f"{function.fn.__module__}.{function.fn.__name__}",
                    "constants": {name: value for name, value in constants.items() if isinstance(value, int | float)},
                    "num_warps": kernel.metadata.num_warps,
                    "num_stages": kernel.metadata.num_stages,
                    "registers": kernel.n_regs,
                    "spilled_bytes": kernel.n_spills,
                    "shared_memory_bytes": kernel.metadata.shared,
                }


def _functions() -> list[Any]:
    """Our functions that Triton compiles, of the modules that have been imported."""
    if "triton" not in sys.modules:
        return []
    from triton.runtime.jit import JITFunction

    modules = [module for name, module in list(sys.modules.items()) if name.startswith("flagdit_kernels.")]
    values = [value for module in modules for value in vars(module).values()]
    return list({id(value): value for value in values if isinstance(value, JITFunction)}.values())
