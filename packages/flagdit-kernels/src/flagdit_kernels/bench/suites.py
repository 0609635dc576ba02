"""The suites that are installed, by entry points; or one by the path of its function."""

import importlib
from importlib import metadata
from typing import cast

from flagdit_kernels.bench.case import Suite

ENTRY_POINT_GROUP = "flagdit.benchmarks"


def installed_suites() -> dict[str, str]:
    """What is installed.

    Returns:
        ``module:function`` of each suite by its name, in alphabetical order.
    """
    found = {entry.name: entry.value for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return dict(sorted(found.items()))


def find_suite(wanted: str) -> tuple[str, Suite]:
    """A suite with its name.

    Args:
        wanted: Name of an installed suite, or ``module:function``, whose name is that of the function.

    Returns:
        The name and the function.

    Raises:
        ValueError: There is none.
    """
    installed = installed_suites()
    path = wanted if ":" in wanted else installed.get(wanted)
    if path is None:
        known = ", ".join(installed) or "none is installed"
        raise ValueError(f"no suite {wanted!r}; known are {known}, or give module:function")
    module, _, function = path.partition(":")
    try:
        suite = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    return (wanted if ":" not in wanted else function), cast(Suite, suite)
