"""The denoising step of this checkout and of another one, in turns, by processor time of one thread.

``python -m benchmarks.paired ../before --results benchmarks/results`` tells what a change did on a machine that does
other things too: each checkout runs in a process of its own, one after the other, several times, and what counts is
the processor's time and not the clock's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from flagdit_kernels.bench.record import Measurement, write_suite

ROOT = Path(__file__).parents[1]
STEPS, TURNS = 10, 4
SETTINGS = [(128, 1), (128, 8), (256, 1)]
DTYPES = ("float32", "bfloat16")

# Uses nothing but the public call, so that it runs on any checkout.
_WORKER = """
import json, sys, time
import torch
from lumina_image import ImagePipeline

torch.set_num_threads(1)
steps, settings, dtypes = json.loads(sys.argv[1])
found = {}
for dtype in dtypes:
    pipe = ImagePipeline.from_pretrained("nano", dtype=getattr(torch, dtype))
    for side, batch in settings:
        ends = []
        pipe("a large red circle in the center on a white background", height=side, width=side, seed=0, progress=False,
             num_images_per_prompt=batch, num_inference_steps=steps + 3, output_type="latent",
             callback_on_step_end=lambda *_: ends.append(time.thread_time()))
        found[f"{side} {batch} {dtype}"] = [after - before for before, after in zip(ends[2:], ends[3:])]
print(json.dumps(found))
"""


def measure(checkout: Path) -> dict[str, list[float]]:
    """Seconds of each step, by setting.

    Args:
        checkout: Whose packages are measured.

    Returns:
        Setting, such as "128 1 float32", to the seconds of a processor for each step.
    """
    sources = [
        str(checkout / "packages" / name / "src") for name in ("flagdit-kernels", "flagdit-core", "lumina-image")
    ]
    command = [sys.executable, "-c", _WORKER, json.dumps([STEPS, SETTINGS, DTYPES])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sources), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, list[float]] = json.loads(run.stdout)
    return found


def main() -> None:
    """Measure both in turns, print the ratios, and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paired", description=__doc__)
    parser.add_argument("before", type=Path, help="a checkout of what to compare with")
    parser.add_argument("--results", type=Path, help="folder for the JSON; none by default")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    checkouts = {"before": options.before.resolve(), "flagdit": ROOT}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(TURNS):
        for name, checkout in checkouts.items():
            for setting, seconds in measure(checkout).items():
                times.setdefault((setting, name), []).extend(seconds)
    rows = []
    for (setting, name), seconds in times.items():
        side, batch, dtype = setting.split()
        quarters = statistics.quantiles(seconds, n=4)
        rows.append(
            Measurement(
                name="denoising step",
                implementation=name,
                settings={"size": f"{side}x{side}", "batch": int(batch), "dtype": dtype},
                rounds=len(seconds),
                warmup_rounds=3 * TURNS,
                median=statistics.median(seconds),
                iqr=quarters[2] - quarters[0],
                fastest=min(seconds),
            )
        )
    for setting in dict.fromkeys(setting for setting, _ in times):
        before, after = (statistics.median(times[setting, name]) for name in checkouts)
        print(f"{setting}: {1e3 * before:.1f} -> {1e3 * after:.1f} ms, {after / before:.2f}")
    if options.results is not None:
        print(write_suite(options.results, "paired", rows, load_average=load))


if __name__ == "__main__":
    main()
