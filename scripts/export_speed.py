"""How fast an export predicts, and how much memory it takes; of a run, too, to compare with.

    python scripts/export_speed.py runs/price-onnx products.csv --images photos --run runs/price

A cold prediction is `multimodal predict` of one row in a new process: processor seconds and the
largest memory. Warm ones are calls of `predict` and `predict_row` in a process that has predicted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import multimodal

ROWS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("export", help="folder that `multimodal export` wrote")
    parser.add_argument("file", help="table with the columns of the run")
    parser.add_argument("--images", help="folder that photo paths start from")
    parser.add_argument("--run", help="run directory to measure, too")
    given = parser.parse_args()
    rows = pd.read_csv(given.file)
    images = str(given.images or Path(given.file).parent)
    print(f"{'':24}{'cold CPU s':>12}{'MB':>8}{'row ms':>9}{'row of dict ms':>16}{'rows/s':>9}")
    for name in filter(None, (given.export, given.run)):
        seconds, megabytes = cold(name, rows.head(1), images)
        print(f"{Path(name).name:24}{seconds:12.2f}{megabytes:8.0f}", end="", flush=True)
        print("".join(warm(name, rows, images)))


def cold(name: str, row: pd.DataFrame, images: str) -> tuple[float, float]:
    """Return processor seconds and megabytes of the command for one row."""
    with tempfile.TemporaryDirectory() as folder:
        row.to_csv(Path(folder, "row.csv"), index=False)
        words = ["predict", name, str(Path(folder, "row.csv")), "--images", images]
        out = open(os.devnull, "w")
        started = subprocess.Popen(
            [sys.executable, "-m", "multimodal", *words], stdout=out, stderr=out
        )
        _, status, used = os.wait4(started.pid, 0)
    if status:
        sys.exit(f"`multimodal {' '.join(words)}` failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def warm(name: str, rows: pd.DataFrame, images: str) -> list[str]:
    """Return the columns of the table: milliseconds of a row, twice, and rows a second."""
    run = multimodal.load(name)
    many = pd.concat([rows] * (ROWS // len(rows) + 1), ignore_index=True).head(ROWS)
    records = rows.head(50).to_dict("records")
    frames = [rows.iloc[[i]] for i in range(min(50, len(rows)))]
    row = best(lambda i: run.predict(frames[i % len(frames)], images=images), 50)
    quick = best(lambda i: run.predict_row(records[i % len(records)], images=images), 50)
    seconds = best(lambda i: run.predict(many, images=images), 3)
    return [f"{1e3 * row:9.1f}", f"{1e3 * quick:16.1f}", f"{ROWS / seconds:9,.0f}"]


def best(call: Callable[[int], object], times: int) -> float:
    """Return the median of the processor seconds of a call, after two that warm up."""
    call(0)
    call(1)
    found = []
    for i in range(times):
        start = time.process_time()
        call(i)
        found.append(time.process_time() - start)
    return sorted(found)[len(found) // 2]


if __name__ == "__main__":
    main()
