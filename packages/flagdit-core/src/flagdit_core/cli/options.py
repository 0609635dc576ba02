"""Options of ``lumina infer`` and ``lumina eval`` that a modality brings along."""

import re
from collections.abc import Sequence
from typing import Any

from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality, Option

_OPTION = re.compile(r"--[a-z][a-z0-9-]*(=|$)")


def check_first(word: str, what: str) -> None:
    """Refuse an option that was typed where the command's own argument is to be.

    Args:
        word: What was taken for the argument, because the command itself does not know that option.
        what: What was expected, for messages: "the prompt".

    Raises:
        ConfigError: It is spelled as an option.
    """
    if _OPTION.match(word):
        raise ConfigError(f"expected {what} before {word}: options that not all models take come after it")


def parse_options(words: Sequence[str], modality: Modality, what: str) -> dict[str, Any]:
    """The values of a modality's own options.

    Args:
        words: What the command itself did not know, as typed: ``--name value`` or ``--name=value``.
        modality: Whose options they must be.
        what: What takes them, in words, for messages: ".mp4 files", or "video models".

    Returns:
        Values by the options' names; those that were not given are left out.

    Raises:
        ConfigError: A word is no option of this modality, or its value is missing or of another kind.
    """
    known, values = {option.name: option for option in modality.options}, dict[str, Any]()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, has_value, text = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            raise ConfigError(f"unexpected {word!r}: put a sentence in quotes, and options as --name value")
        if name not in known:
            listed = ", ".join(f"--{other}" for other in known)
            also = f"{what} also take {listed}" if known else f"{what} take no others"
            raise ConfigError(f"unknown option --{name} ({also}; see lumina info)")
        option = known[name]
        if option.kind is bool:
            if has_value:
                raise ConfigError(f"--{name} takes no value, got {text!r}")
            values[name] = True
            continue
        if not has_value:
            if not rest:
                raise ConfigError(f"--{name} needs a value: {option.help}")
            text = rest.pop(0)
        values[name] = _read(option, text)
    return values


def spell(option: Option) -> str:
    """How an option is typed."""
    return f"--{option.name}" if option.kind is bool else f"--{option.name} {option.kind.__name__.upper()}"


def _read(option: Option, text: str) -> Any:
    """The value of an option from its text."""
    try:
        return option.kind(text)
    except ValueError as error:
        kind = "a whole number" if option.kind is int else "a number"
        raise ConfigError(f"--{option.name} must be {kind}, got {text!r}") from error
