"""``--set a.b=c`` onto nested frozen dataclasses, with each value read as its field's type."""

import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from flagdit_core.errors import ConfigError

Config = TypeVar("Config")
_Tree = dict[str, "str | _Tree"]
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def apply_overrides(config: Config, assignments: Sequence[str]) -> Config:
    """A copy of a dataclass with some fields replaced.

    All assignments to one dataclass are applied together, so that its checks see the final values only.

    Args:
        config: A dataclass instance, whose fields may be dataclasses too.
        assignments: Strings ``a.b=value``; the last one for a field counts.

    Returns:
        The copy.

    Raises:
        ConfigError: An assignment is malformed, names no field, or its value does not fit the field.

    Example:
        >>> from flagdit_core.model.config import FlagDiTConfig
        >>> apply_overrides(FlagDiTConfig.preset("nano"), ["depth=2", "qk_norm=false"]).depth
        2
    """
    tree: _Tree = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not (equals and path.strip()):
            raise ConfigError(f"--set {assignment!r} is not of the form name=value")
        *parents, name = path.strip().split(".")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            if isinstance(child, str):
                raise ConfigError(f"--set gives {parent} a value and one of its fields too; keep one of them")
            node = child
        if isinstance(node.get(name), dict):
            raise ConfigError(f"--set gives {path} a value and one of its fields too; keep one of them")
        node[name] = value
    return _replaced(config, tree, prefix="")


def _replaced(config: Config, tree: _Tree, prefix: str) -> Config:
    """``config`` with the changes of one level of the tree."""
    assert is_dataclass(config) and not isinstance(config, type)
    known = {field.name for field in fields(config) if field.init}
    hints = get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for name, value in tree.items():
        if name not in known:
            raise ConfigError(
                f"{type(config).__name__} has no field {prefix + name!r}; its fields are {', '.join(sorted(known))}"
            )
        present = getattr(config, name)
        if isinstance(value, dict):
            if not is_dataclass(present):
                raise ConfigError(f"{prefix + name} is {present!r} and has no fields to set")
            changes[name] = _replaced(present, value, f"{prefix}{name}.")
        elif is_dataclass(present):
            inner = ", ".join(field.name for field in fields(present))
            raise ConfigError(
                f"{prefix + name} has fields; set one of them, as in {prefix}{name}.{inner.split(',')[0]}={value}"
            )
        else:
            changes[name] = _convert(value, hints[name], prefix + name)
    try:
        return replace(config, **changes)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{type(config).__name__}: {error}") from error


def _convert(text: str, hint: Any, name: str) -> Any:
    """The value that ``text`` spells for a field of that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(text, arguments, name)
    if origin is Literal:
        for choice in arguments:
            if str(choice) == text:
                return choice
    elif origin is tuple:
        return _convert_tuple(text, arguments, name)
    elif hint is bool:
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
    elif hint in (int, float, Path):
        try:
            return hint(text)
        except ValueError:
            pass
    elif hint is str:
        return text
    elif hint is type(None):
        if text.lower() in ("none", "null"):
            return None
    else:
        raise ConfigError(f"{name} is a {hint} and cannot be set from the command line")
    raise ConfigError(f"{name} must be {_spell(hint)}, got {text!r}")


def _convert_union(text: str, members: tuple[Any, ...], name: str) -> Any:
    """The first member, tried from the narrowest to the widest, that the text fits."""
    order = [type(None), int, float, bool, Path, str]
    ranked = sorted(members, key=lambda member: order.index(member) if member in order else -1)
    for member in ranked:
        try:
            return _convert(text, member, name)
        except ConfigError:
            continue
    raise ConfigError(f"{name} must be {' or '.join(map(_spell, members))}, got {text!r}")


def _convert_tuple(text: str, arguments: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """Comma-separated items, with or without brackets."""
    stripped = text.strip()
    if stripped[:1] in ("[", "(") and stripped[-1:] in ("]", ")"):
        stripped = stripped[1:-1]
    items = [item.strip() for item in stripped.split(",") if item.strip()]
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_convert(item, arguments[0], name) for item in items)
    if len(items) != len(arguments):
        raise ConfigError(f"{name} must be {len(arguments)} values with commas between them, got {text!r}")
    return tuple(_convert(item, hint, name) for item, hint in zip(items, arguments, strict=True))


def _spell(hint: Any) -> str:
    """A type in words."""
    if hint is type(None):
        return "none"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a text", Path: "a path"}
    return words.get(hint, str(hint))
