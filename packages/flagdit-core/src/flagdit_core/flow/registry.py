"""Looking a name up in a dict literal of presets."""

from collections.abc import Mapping
from typing import TypeVar

from flagdit_core.errors import ConfigError

Entry = TypeVar("Entry")


def lookup(registry: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry called ``name``.

    Args:
        registry: Entries by name.
        name: The name that was asked for.
        what: What the entries are, for the message ("path", "solver").

    Returns:
        The entry.

    Raises:
        ConfigError: There is no entry of that name.
    """
    if name not in registry:
        raise ConfigError(f"unknown {what} {name!r}; use one of: {', '.join(registry)}")
    return registry[name]
