"""Two ways compared on the same captions."""

import math
from dataclasses import dataclass

_Z_95 = 1.959963984540054  # the standard normal's 97.5 % quantile


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Outcomes of two ways on the same captions.

    Attributes:
        gained: Captions that fail the first way and pass the second.
        lost: Captions that pass the first way and fail the second.
        total: All captions, at least 1.
    """

    gained: int
    lost: int
    total: int

    @classmethod
    def of(cls, first: str, second: str) -> "Pairs":
        """Outcomes counted.

        Args:
            first: "1" for each caption that passes, "0" for each that fails.
            second: The same captions in the same order.

        Returns:
            The counts.

        Raises:
            ValueError: There are not as many of one as of the other.
        """
        both = list(zip(first, second, strict=True))
        return cls(gained=both.count(("0", "1")), lost=both.count(("1", "0")), total=len(both))

    @property
    def difference(self) -> float:
        """The second's pass rate minus the first's, in [-1, 1]."""
        return (self.gained - self.lost) / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval: Wald's with one caption more of each kind (Bonett and Price, 2012).

        The adjustment is that of D. G. Bonett and R. M. Price, Journal of Educational and Behavioral Statistics 37(4),
        479-488, https://doi.org/10.3102/1076998611411915.
        """
        n = self.total + 2
        gained, lost = (self.gained + 1) / n, (self.lost + 1) / n
        centre = gained - lost
        half = _Z_95 * math.sqrt((gained + lost - centre**2) / n)
        return max(-1.0, centre - half), min(1.0, centre + half)
