"""Two ways compared on the same captions."""

import pytest

from studies.pairs import Pairs


def test_interval() -> None:
    """The example of statpsych's ``ci.prop.ps``, Bonett and Price's interval in R: 48 pairs, of which 30 differ."""
    pairs = Pairs(gained=26, lost=4, total=48)
    assert pairs.difference == pytest.approx(22 / 48)
    assert pairs.interval == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


def test_no_difference_is_not_certain() -> None:
    """Where all captions end alike the difference is 0, and its interval still has a width."""
    pairs = Pairs.of("1" * 20, "1" * 20)
    low, high = pairs.interval
    assert pairs.difference == 0 and -0.2 < low < -0.01 and high == -low


def test_outcomes_are_paired() -> None:
    """What counts is which captions changed, not how many pass; captions without a partner are refused."""
    assert Pairs.of("1100", "0111") == Pairs(gained=2, lost=1, total=4)
    with pytest.raises(ValueError, match="shorter"):
        Pairs.of("10", "1")
