"""The Triton kernels compile for GPUs that are not there, within the committed budgets.

This is what the interpreter cannot see: types and layouts, registers, spills, shared memory, the instructions used.
Nothing runs, so nothing here says how fast a kernel is.
"""

import dataclasses
import os

import pytest
import torch

from flagdit_kernels.configs import CANDIDATES

triton = pytest.importorskip("triton")

from flagdit_kernels.ops.attention.triton import backward_dkdv  # noqa: E402 - only where triton is

from .absent_gpu import absent_gpu  # noqa: E402 - only where triton is
from .budgets import CASES, budget_of, excess, read  # noqa: E402 - only where triton is
from .report import Report  # noqa: E402 - only where triton is

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter replaces the compiler"
)
COMMITTED = read()
GOOD = Report(registers=64, spill_bytes=0, shared_bytes=1024, matrix="mma", wide_loads=True, failures=())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_keep_their_budgets(case, tmp_path):
    """Forward and backward launch on the chip, and no kernel costs more than committed or lost what it asks for.

    The numbers are of one compiler: with another version of Triton the kernels have to compile and lose nothing.
    """
    found = case.measure(tmp_path)
    problems = {name: list(kernel.failures) for name, kernel in found.items()}
    if triton.__version__ == COMMITTED["triton"]:
        budgets = COMMITTED["budgets"][str(case)]
        assert found.keys() == budgets.keys()
        problems = {name: excess(kernel, budgets[name]) for name, kernel in found.items()}
    assert not any(problems.values()), problems


def test_every_budget_has_a_case():
    """Nothing in the file is left over from a kernel, size or chip that is gone."""
    assert COMMITTED["budgets"].keys() == {str(case) for case in CASES}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"registers": 73}, "registers 73, budget 64"),
        ({"spill_bytes": 4}, "spill_bytes 4, budget 0"),
        ({"shared_bytes": 2048}, "shared_bytes 2048, budget 1024"),
        ({"matrix": ""}, "matrix instructions none, budget mma"),
        ({"wide_loads": False}, "no load of 16 bytes"),
        ({"failures": ("C7510: wgmma serialized",)}, "C7510: wgmma serialized"),
    ],
)
def test_a_budget_is_broken_by(change, words):
    """Each field of a report that gets worse is named, and nothing else is."""
    assert excess(GOOD, budget_of(GOOD)) == []
    assert excess(dataclasses.replace(GOOD, **change), budget_of(GOOD)) == [words]


def test_a_spill_needs_a_reason():
    """A committed spill is no excuse by itself; with a reason it is."""
    spills = dataclasses.replace(GOOD, spill_bytes=8)
    assert len(excess(spills, budget_of(spills))) == 1
    assert excess(spills, budget_of(spills) | {"why": "a tile of 64 would halve the reuse"}) == []


@pytest.mark.slow
def test_specialised_candidates_compile_where_query_heads_share_keys(tmp_path):
    """The tuner times one key head for each query head; models with fewer key heads launch what it keeps."""
    q, k = (torch.empty(64, heads, 96, dtype=torch.bfloat16, device="meta") for heads in (4, 2))
    lse, bounds = torch.empty(4, 64, device="meta"), torch.empty(3, dtype=torch.int32, device="meta")
    for candidate in CANDIDATES["attention.backward_dkdv"]:
        if candidate["WARP_SPECIALIZE"]:
            with absent_gpu("sm_90", tmp_path) as compiled:
                backward_dkdv(q, k, k, q, lse, lse, bounds, 1.0, None, candidate)
            assert [kernel.name for kernel in compiled] == ["_dkdv_kernel"]
