"""Devices by name."""

import pytest
import torch

from flagdit_core.devices import pick_device
from flagdit_core.errors import BackendUnavailableError

from .conftest import ToyPipeline


def test_a_device_without_float64(saved_model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotary angles need it: "mps" is refused at once, by name and where a pipeline is loaded or moved."""

    def empty(*_: int, dtype: torch.dtype, device: torch.device) -> None:
        assert (dtype, device.type) == (torch.float64, "mps")
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    pipeline = ToyPipeline.from_pretrained(saved_model)
    monkeypatch.setattr(torch, "empty", empty)
    for use in (lambda: pick_device("mps"), lambda: pipeline.to("mps")):
        with pytest.raises(BackendUnavailableError, match="device 'mps' is not available here, or has no float64"):
            use()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_pipelines_say_that_a_device_is_missing(saved_model) -> None:
    """As the command line does."""
    with pytest.raises(BackendUnavailableError, match="device 'cuda' is not available here"):
        ToyPipeline.from_pretrained(saved_model, device="cuda")
