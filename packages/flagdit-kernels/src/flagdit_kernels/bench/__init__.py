"""``flagdit-bench``: what is measured on a GPU, how, and who is measured beside us.

A suite is a function `Conditions -> Iterable[Case]`, found through the entry-point group ``flagdit.benchmarks``; a case
is one computation at one size, and the trials of everyone who offers it. `runner.py` runs them, one process, one after
the other: gate first, then the clock, then the memory, then a row of the suite's JSON.
"""

from flagdit_kernels.bench.case import Case, Conditions, Suite, Trial, UnavailableError
from flagdit_kernels.bench.gate import RedGateError, check_close

__all__ = ["Case", "Conditions", "RedGateError", "Suite", "Trial", "UnavailableError", "check_close"]
