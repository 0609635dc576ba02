"""Under the interpreter: repair it before any kernel is imported. Everywhere: fresh memory is NaN."""

import pytest
import torch

from .support import INTERPRETED

pytest.importorskip("triton")
if INTERPRETED:
    from ..interpreter import repair

    repair()


def pytest_collection_modifyitems(items):
    """Without the interpreter these tests need a GPU."""
    if not INTERPRETED:
        for item in items:
            if item.path.parent.name == "triton_kernels":
                item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Fresh memory is NaN: a value that a kernel forgets to write is seen."""
    new_empty = torch.Tensor.new_empty

    def new_nan(self, *size, **options):
        tensor = new_empty(self, *size, **options)
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch.Tensor, "new_empty", new_nan)
