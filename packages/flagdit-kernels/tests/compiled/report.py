"""What a compiled kernel costs, as the assembler and the assembly tell it."""

import re
from dataclasses import dataclass

from .absent_gpu import Compiled

MATRIX_INSTRUCTIONS = {"wgmma": r"\bwgmma\.mma_async\b", "mma": r"\bmma\.sync\b", "mfma": r"\bv_mfma_"}
WIDE_LOADS = r"ld\.global[.\w:]*\.v4\.[bfsu]32|cp\.async\.cg\.shared|cp\.async\.bulk\.tensor|load_dwordx4"
WARNINGS = r".*(?:[Ww]arning|C75\d\d|Performance Loss|serialized).*"


@dataclass(frozen=True, kw_only=True)
class Report:
    """One kernel on one chip.

    ``registers`` and ``spill_bytes`` are of a thread; ``matrix`` names the matrix instruction used, if any;
    ``wide_loads`` says that memory is read 16 bytes at a time or by TMA. ``failures`` needs no budget, it is empty in a
    good kernel: warnings of the assembler, and what the source asks for and the compiler did not deliver.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    matrix: str
    wide_loads: bool
    failures: tuple[str, ...]


def report(compiled: Compiled) -> Report:
    """Read what the compiler left behind."""
    is_nvidia = compiled.metadata["target"].backend == "cuda"
    assembly = compiled.text("ptx" if is_nvidia else "amdgcn")
    registers, spill_bytes = _of_log(compiled.log) if is_nvidia else _of_notes(assembly)
    matrix = next((name for name, pattern in MATRIX_INSTRUCTIONS.items() if re.search(pattern, assembly)), "")
    return Report(
        registers=registers,
        spill_bytes=spill_bytes,
        shared_bytes=compiled.metadata["shared"],
        matrix=matrix,
        wide_loads=re.search(WIDE_LOADS, assembly) is not None,
        failures=(*re.findall(WARNINGS, compiled.log), *_not_delivered(compiled, assembly, matrix)),
    )


def _not_delivered(compiled: Compiled, assembly: str, matrix: str) -> list[str]:
    """What the source asks for and the assembly does not have."""
    source, arch = compiled.text("ttir"), compiled.metadata["target"].arch
    lost = []
    if re.search(r"tt\.dot .*xb?f16>", source) and not matrix:
        lost.append("products in half precision without matrix instructions")
    if arch == 90 and "tt.make_tensor_descriptor" in source and "cp.async.bulk.tensor" not in assembly:
        lost.append("descriptors without TMA")
    if "tt.warp_specialize" in source and "ttg.warp_specialize" not in compiled.text("ttgir"):
        lost.append("warp specialisation was asked for and ignored")
    return lost


def _of_log(log: str) -> tuple[int, int]:
    """Registers and spilled bytes by the log of NVIDIA's assembler."""
    (registers,) = re.findall(r"Used (\d+) registers", log)
    (spills,) = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    return int(registers), max(map(int, spills))


def _of_notes(assembly: str) -> tuple[int, int]:
    """Vector registers, accumulation ones included, and bytes of scratch memory by the notes in AMD's assembly."""
    registers, scratch = (
        int(re.findall(rf"\.{name}: +(\d+)", assembly)[0]) for name in ("vgpr_count", "private_segment_fixed_size")
    )
    return registers, scratch
