"""Examples in docstrings and in the README run and give what they say."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
import torch

from flagdit_kernels import OPERATORS


@pytest.mark.parametrize("name", [*(f"ops.{name}" for name in OPERATORS), "backends"])
def test_docstring_examples(name):
    """Each public function has an example, and it gives what it says."""
    module = importlib.import_module(f"flagdit_kernels.{name}")
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.attempted > 0
    assert result.failed == 0


def test_readme_examples():
    """Every Python block of the README runs on a CPU."""
    blocks = re.findall(r"```python\n(.*?)```", Path(__file__).parents[1].joinpath("README.md").read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(block, {})  # noqa: S102 - our own README
