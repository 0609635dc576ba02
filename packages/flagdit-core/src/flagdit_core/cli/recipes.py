"""Finding a training recipe and reading what it takes."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from flagdit_core.errors import ConfigError
from flagdit_core.modalities import installed_modalities, load_object


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training function and the configuration it takes.

    Attributes:
        name: As the user said it.
        function: ``(config, *, resume: bool = False) -> Path`` of the finished model folder.
        default: Its configuration with nothing set.
        resumes: Whether the function has the ``resume`` option.
    """

    name: str
    function: Callable[..., Any]
    default: Any
    resumes: bool


def shipped_recipes() -> dict[str, str]:
    """Object paths of the installed modalities' recipes by short name, such as ``image/nano``."""
    return {
        f"{modality.name}/{name}": path
        for modality in installed_modalities().values()
        for name, path in modality.recipes.items()
    }


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Args:
        name: ``module:function``, looked for in the current folder too, or the short name of a shipped recipe
            ("image/tiny", or "tiny" where only one modality has it).

    Returns:
        The recipe.

    Raises:
        ConfigError: There is no such recipe, or it is not a function of a dataclass with defaults.
    """
    shipped = shipped_recipes()
    matches = [key for key in shipped if name in (key, key.partition("/")[2])]
    if len(matches) > 1:
        raise ConfigError(f"several modalities have a recipe {name!r}; say which: {', '.join(matches)}")
    if not matches and ":" not in name:
        raise ConfigError(f"unknown recipe {name!r}; expected module:function or one of {', '.join(shipped) or 'none'}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    function = load_object(shipped[matches[0]] if matches else name)
    if not inspect.isfunction(function):
        raise ConfigError(f"{name} is a {type(function).__name__}, expected a recipe: a function of a dataclass")
    parameters = list(inspect.signature(function).parameters.values())
    config_class = get_type_hints(function).get(parameters[0].name) if parameters else None
    if not (isinstance(config_class, type) and is_dataclass(config_class)):
        raise ConfigError(f"{name} is no recipe: its first parameter must be annotated with a dataclass")
    try:
        given = parameters[0].default
        default = config_class() if given is inspect.Parameter.empty else given
    except TypeError as error:
        raise ConfigError(
            f"{name} is no recipe: {config_class.__name__} needs a default for each field ({error})"
        ) from error
    resumes = any(parameter.name == "resume" for parameter in parameters[1:])
    return Recipe(name=name, function=function, default=default, resumes=resumes)
