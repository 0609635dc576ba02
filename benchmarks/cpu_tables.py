"""The tables of what pytest-benchmark measured on a CPU."""

from collections.abc import Callable, Sequence

from benchmarks.cells import Row, Suite, is_ceiling, rate, table, time


def _startup(suite: Suite) -> str:
    return table(
        ("program", "calls", "seconds", "processor seconds", "peak memory"),
        [
            (
                f"`{row['name']}`",
                row["rounds"],
                time(row, 1, 2),
                f"{row['extra']['cpu_seconds']:.2f}",
                _memory(row),
            )
            for row in suite["measurements"]
        ],
    ) + _missing(suite)


def _model(suite: Suite) -> str:
    rows = []
    for row in suite["measurements"]:
        settings = row["settings"]
        each = 1e3 * row["median"] / settings["batch"]
        rows.append((settings["size"], settings["batch"], settings["dtype"], time(row, 1e3, 1), f"{each:.1f}"))
    return (
        "A step of the shipped models under guidance, which evaluates everything twice.\n\n"
        + table(("what", "batch", "dtype", "ms a step", "ms each"), rows)
        + _missing(suite)
    )


def _films(suite: Suite) -> str:
    """Peak memory of each program, one line for each length."""
    note = (
        "Peak memory of a process that makes a film. A still one is decoded and written frame by frame, without\n"
        "the network; the whole command holds latents and tokens of all frames besides.\n\n"
    )
    rows = [
        (f"`{row['name']}`" if row["name"].startswith("lumina") else row["name"], row["settings"]["size"],
         row["settings"]["frames"], _memory(row))
        for row in suite["measurements"]
    ]  # fmt: skip
    return note + table(("program", "size", "frames", "peak memory"), rows)


def _paired(suite: Suite) -> str:
    """Two checkouts in turns."""
    rows = {}
    for row in suite["measurements"]:
        settings = row["settings"]
        key = (settings["size"], settings["batch"], settings["dtype"])
        rows.setdefault(key, {})[row["implementation"]] = row
    shown = [
        (*key, time(pair["before"], 1e3, 1), time(pair["flagdit"], 1e3, 1),
         f"{pair['flagdit']['median'] / pair['before']['median']:.2f}")
        for key, pair in rows.items()
    ]  # fmt: skip
    return "Processor milliseconds of one thread for a step, an earlier commit and this one in turns.\n\n" + table(
        ("pictures of", "batch", "dtype", "before", "now", "ratio"), shown
    )


def _training(suite: Suite) -> str:
    rows = []
    for row in suite["measurements"]:
        settings = row["settings"]
        tokens = row["work"]["tokens"] / row["median"]
        how = f"{settings['form']}, {settings['precision']}, {settings['threads']} thread"
        rows.append((how, settings["batch"], time(row, 1, 3), f"{tokens:,.0f}", _memory(row)))
    return "Updates of the shipped model and its text encoder by the recipe's settings, on pictures of 128x128.\n\n" + (
        table(("form", "batch", "seconds an update", "tokens a second", "peak memory"), rows)
    )


def _operators(suite: Suite) -> str:
    """Ours beside its peers, one line for each operator, shape and dtype."""
    measurements = suite["measurements"]
    ceilings = ", ".join(f"{r['name']} {r['settings']['dtype']} {rate(r)}" for r in measurements if is_ceiling(r))
    lines: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in measurements:
        if not is_ceiling(row):
            settings = row["settings"]
            line = lines.setdefault((row["name"], settings["shape"], settings["dtype"]), {})
            line.setdefault(settings["direction"], []).append(row)
    shown = [
        (f"`{name}`", shape, dtype, *_against_peers(line["forward"]), *_against_peers(line["forward+backward"]))
        for (name, shape, dtype), line in lines.items()
    ]
    header = ("operator", "shape", "dtype", "forward µs", "rate", "peers", "forward + backward µs", "rate", "peers")
    return (
        f"What the machine can do at best: {ceilings}. Small tensors stay in its caches and may beat the copy.\n"
        "A peer's figure is its time over ours in the same run: above 1, ours is faster.\n\n"
    ) + table(header, shown)


def _against_peers(rows: Sequence[Row]) -> tuple[str, str, str]:
    """Our time, our rate, and each peer's time over ours."""
    (ours,) = (row for row in rows if row["implementation"] == "flagdit")
    peers = [f"{row['implementation']} {row['median'] / ours['median']:.2f}" for row in rows if row is not ours]
    return time(ours, 1e6, 0), rate(ours), ", ".join(peers)


def _memory(row: Row) -> str:
    peak = row["extra"].get("peak_memory_bytes")
    return "" if peak is None else f"{peak / 2**20:.0f} MiB"


def _missing(suite: Suite) -> str:
    """What has no number, and why."""
    lines = {f"- {row['name']}: {row['reason']}\n" for row in suite.get("refusals", ())}
    return "\nWithout a number:\n\n" + "".join(sorted(lines)) if lines else ""


CPU_TABLES: dict[str, tuple[str, Callable[[Suite], str]]] = {
    "startup": ("From the command to the first artifact", _startup),
    "model": ("A denoising step", _model),
    "memory": ("Memory and the length of a film", _films),
    "paired": ("A denoising step, before and after", _paired),
    "training": ("Training", _training),
    "operators": ("Operators", _operators),
}
