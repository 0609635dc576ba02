"""The exponential moving average."""

import pytest
import torch
from torch import nn

from flagdit_core.training.ema import Ema


def test_average_follows_the_formula() -> None:
    """After three updates the average is what the recurrence gives by hand, with the decay's warm-up."""
    weight = nn.Parameter(torch.tensor([1.0]))
    ema = Ema([("weight", weight)], decay=0.15)
    expected = 1.0
    for step, (value, decay) in enumerate([(2.0, 0.1), (3.0, 0.15), (4.0, 0.15)]):
        with torch.no_grad():
            weight.fill_(value)
        ema.update(step)
        expected = decay * expected + (1 - decay) * value
    assert ema.average["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_applied_swaps_and_restores_bit_by_bit() -> None:
    """Inside the block the module computes with the average; afterwards, also after an error, with its own weights."""
    module = nn.Linear(3, 3)
    ema = Ema(module.named_parameters(), decay=0.9)
    with torch.no_grad():
        module.weight.mul_(1.1)
    trained = module.weight.detach().clone()
    with pytest.raises(RuntimeError, match="sampling failed"), ema.applied():
        assert torch.equal(module.weight, ema.average["weight"])
        assert not torch.equal(module.weight, trained)
        raise RuntimeError("sampling failed")
    assert torch.equal(module.weight, trained)


def test_frozen_weights_are_not_averaged() -> None:
    """What is not trained costs no second copy."""
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert set(Ema(module.named_parameters(), decay=0.9).average) == {"weight"}
