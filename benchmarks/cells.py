"""Cells of the page's tables."""

from collections.abc import Iterable, Sequence
from typing import Any

Suite = dict[str, Any]
Row = dict[str, Any]

_RATES = {"flops": "FLOP/s", "bytes": "B/s"}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def time(row: Row, scale: float, digits: int) -> str:
    """The median with its spread."""
    return f"{scale * row['median']:.{digits}f} ± {50 * row['iqr'] / row['median']:.0f} %"


def rate(row: Row, prefix: str = "G") -> str:
    """Bytes or operations a second."""
    kind = "flops" if "flops" in row["work"] else "bytes"
    return f"{row['work'][kind] / row['median'] / {'G': 1e9, 'T': 1e12}[prefix]:.1f} {prefix}{_RATES[kind]}"


def is_ceiling(row: Row) -> bool:
    """Whether it is what the machine can do at best."""
    return row["name"] in ("copy", "matmul")
