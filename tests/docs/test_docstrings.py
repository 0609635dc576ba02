"""Every example in a docstring gives what it says."""

import doctest
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import flagdit_core
import lumina_image
import lumina_video


def modules_with_examples() -> Iterator[str]:
    """Names of the modules whose source has an example; the kernels' are run by their own package's tests."""
    for package in (flagdit_core, lumina_image, lumina_video):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = importlib.util.find_spec(info.name)
            assert spec is not None and spec.origin is not None
            if ">>> " in Path(spec.origin).read_text(encoding="utf-8"):
                yield info.name


@pytest.mark.parametrize("name", [*modules_with_examples()])
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of a module give what they say, with the names of the module and torch at hand."""
    monkeypatch.chdir(tmp_path)  # a recipe's example writes where it stands
    result = doctest.testmod(importlib.import_module(name), extraglobs={"torch": torch})
    assert result.attempted > 0
    assert result.failed == 0
