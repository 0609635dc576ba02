"""``lumina train``: run a recipe."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from flagdit_core.cli.overrides import apply_overrides
from flagdit_core.cli.recipes import find_recipe
from flagdit_core.errors import ConfigError


def run_train(name: str, overrides: Sequence[str], *, output: Path | None, resume: bool) -> None:
    """Train by a recipe.

    Args:
        name: ``module:function``, or the short name of a shipped recipe.
        overrides: Changes of its configuration, ``a.b=value``.
        output: Replaces the configuration's ``output_dir``.
        resume: Go on from the last checkpoint.

    Raises:
        FlagDiTError: The recipe or a setting is wrong, or training failed.
    """
    recipe = find_recipe(name)
    if resume and not recipe.resumes:
        raise ConfigError(f"recipe {name} has no resume option; leave --resume out")
    changes = [*overrides, *([f"output_dir={output}"] if output is not None else [])]
    config = apply_overrides(recipe.default, changes)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started: one speaks for all
    logging.basicConfig(format="%(message)s")
    for package in ("flagdit_core", recipe.function.__module__.partition(".")[0]):
        # others' libraries speak up from warnings on
        logging.getLogger(package).setLevel(logging.INFO if first else logging.ERROR)
    result = recipe.function(config, resume=resume) if recipe.resumes else recipe.function(config)
    if first:
        print(result if isinstance(result, Path) else f"{name}: done")
