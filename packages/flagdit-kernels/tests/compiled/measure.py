"""Measures budgets anew and writes them: ``python -m tests.compiled.measure`` in ``packages/flagdit-kernels``.

With names of operators, only theirs. Reasons for spills that stand in the file are kept. What is printed is left to do:
spills without a reason, and failures that no budget excuses. Read the file's diff before committing it: a number that
grew is a regression until it is explained.
"""

import json
import sys
import tempfile
from pathlib import Path

import triton

from .budgets import BUDGETS, CASES, Budget, budget_of, excess, read


def measure(operators: list[str]) -> None:
    """Rewrite the file of budgets: those of some operators, or all."""
    committed: dict[str, dict[str, Budget]] = read()["budgets"] if BUDGETS.exists() else {}
    budgets: dict[str, dict[str, Budget]] = {}
    for case in CASES:
        old = committed.get(str(case), {})
        if operators and case.operator not in operators:
            budgets[str(case)] = old
            continue
        with tempfile.TemporaryDirectory() as folder:
            reports = case.measure(Path(folder))
        kernels = budgets[str(case)] = {name: budget_of(found) for name, found in reports.items()}
        for name, found in reports.items():
            if found.spill_bytes and "why" in old.get(name, {}):
                kernels[name]["why"] = old[name]["why"]
            sys.stdout.writelines(f"{case}, {name}: {problem}\n" for problem in excess(found, kernels[name]))
    BUDGETS.write_text(_format(budgets))


def _format(budgets: dict[str, dict[str, Budget]]) -> str:
    """JSON with a line for each kernel, so that a diff shows which changed."""
    cases = []
    for case, kernels in budgets.items():
        lines = ",\n".join(f"      {json.dumps(name)}: {json.dumps(budget)}" for name, budget in kernels.items())
        cases.append(f"    {json.dumps(case)}: {{\n{lines}\n    }}")
    body = ",\n".join(cases)
    return f'{{\n  "triton": {json.dumps(triton.__version__)},\n  "budgets": {{\n{body}\n  }}\n}}\n'


if __name__ == "__main__":
    measure(sys.argv[1:])
