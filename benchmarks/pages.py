"""The command of every page that is rendered from JSON: write it, or see whether it is out of date."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def write_page(program: str, render: Callable[[Path], str], *, results: Path, page: Path) -> int:
    """Write a page, or with ``--check`` see whether it is what the JSON says.

    Args:
        program: As it is run, such as "benchmarks.report".
        render: From the folder of the JSON to the page's text.
        results: That folder, where the command names no other.
        page: The file, likewise.

    Returns:
        Exit code: 1 if the page was checked and is out of date.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=f"Write {page.name} from its JSON.")
    parser.add_argument("--results", type=Path, default=results, help="folder of the JSON")
    parser.add_argument("--page", type=Path, default=page, help="file to write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is out of date")
    options = parser.parse_args()
    text = render(options.results)
    if not options.check:
        options.page.write_text(text, encoding="utf-8")
    elif not options.page.is_file() or options.page.read_text(encoding="utf-8") != text:
        print(f"{options.page} is not what {options.results} says; run python -m {program}", file=sys.stderr)
        return 1
    return 0
