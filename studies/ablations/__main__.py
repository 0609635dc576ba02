"""``python -m studies.ablations run`` makes what is missing of the runs, ``... report`` the page and its plots."""

import argparse
import logging
import sys
from itertools import product
from pathlib import Path

from studies.ablations.variants import VARIANTS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "studies" / "results" / "ablations"


def main() -> int:
    """Run what is missing, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m studies.ablations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="train variants; a run whose file is there is not made again")
    runs.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(VARIANTS)}")
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each of them")
    runs.add_argument("--encoded", type=Path, required=True, help="folder for encoded pictures, made once")
    report = commands.add_parser("report", help="docs/ablations.md and its plots")
    report.add_argument("--page", type=Path, default=ROOT / "docs" / "ablations.md", help="file to write")
    for command in (runs, report):
        command.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    if options.command == "report":
        from studies.ablations.report import write

        write(options.results, options.page)
        return 0
    return _run(options.names or list(VARIANTS), options.seeds, options.encoded, options.results)


def _run(names: list[str], seeds: list[int], encoded: Path, results: Path) -> int:
    """Every missing run, seed by seed."""
    if unknown := sorted(set(names) - VARIANTS.keys()):
        print(f"unknown variants {', '.join(unknown)}; there are {', '.join(VARIANTS)}", file=sys.stderr)
        return 2
    from studies.ablations.pictures import training_pictures
    from studies.ablations.run import Scale, run

    logging.basicConfig(level=logging.INFO)
    scale = Scale()
    source = training_pictures(encoded, pictures=scale.pictures)
    for seed, name in product(seeds, names):
        if not (results / f"{name}-{seed}.json").is_file():
            path = run(name, seed, source, scale, results)
            if path is None:
                return 1
            print(path, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
