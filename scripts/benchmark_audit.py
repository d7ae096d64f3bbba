"""Compare the rate of an audit with the rate at which the photos can merely be decoded.

    python scripts/benchmark_audit.py [FILE --target COLUMN] [--images DIR] [--rounds 3]

Without a FILE, the generated catalogue of 100,000 rows, drawn on first use. Both take turns in one
process. Decoding is the project's own decode function, to 64 pixels, in a pool of as many threads
as there are cores; `full` decodes at the photos' own size, without resizing. The ratio is the
audit's rate over the decoding rate, by wall time, and by CPU time, which other work on the machine
disturbs less. The audit reads, checks and describes the whole table. Target: at least 0.80.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from multimodal.data.audit.table import audit_table
from multimodal.data.columns.cells import photo_paths
from multimodal.data.columns.schema import infer_schema
from multimodal.data.generated import TARGET, catalogue
from multimodal.data.photos.read import decode, locate
from multimodal.data.read.readers import open_table

CORES = os.cpu_count() or 1
SIZE, CHUNK = 64, 64


def decode_all(paths: list[Path], one: Callable[[Path], object]) -> None:
    """Decode every photo on all cores; what cannot be decoded is passed over."""

    def several(chunk: list[Path]) -> None:
        for path in chunk:
            try:
                one(path)
            except (OSError, ValueError):
                pass

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(several, (paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK))))


def load(path: Path) -> None:
    """Decode a photo at its own size."""
    with Image.open(path) as image:
        image.load()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure in turns and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    targets = given.target or []
    file = given.file
    if file is None:
        file, targets = catalogue("large")[0], [TARGET]
    table, root = open_table(file, given.images)
    columns = infer_schema(table, photo_root=root).names("image")
    names = (name for c in columns for cell in table.frame[c] for name in photo_paths(cell))
    paths = [locate(name, root) for name in dict.fromkeys(names)]
    work: dict[str, Callable[[], object]] = {
        f"decode to {SIZE}": lambda: decode_all(paths, lambda path: decode(path, SIZE)),
        "decode full": lambda: decode_all(paths, load),
        "audit": lambda: audit_table(file, [], images=given.images),
    }
    if targets:
        work["audit, target"] = lambda: audit_table(file, targets, images=given.images)
    audit_table(file, targets, images=given.images)  # imports, and the files into memory
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(given.rounds):
        for name, each in work.items():
            found[name].append(timed(each))
    print(
        f"{file}: {table.rows_read:,} rows, {len(paths):,} photos, {CORES} cores; "
        f"peak after the first audit {peak:,.0f} MiB"
    )
    least = {
        name: [statistics.median(s) for s in zip(*each, strict=True)]
        for name, each in found.items()
    }
    for name, (wall, cpu) in least.items():
        print(f"{name:14} {wall:7.2f} s  {cpu:7.2f} s of CPU  {len(paths) / wall:9,.0f} photos/s")
    for name in [name for name in work if name.startswith("audit")]:
        for base in [name for name in work if name.startswith("decode")]:
            wall, cpu = (least[base][i] / least[name][i] for i in (0, 1))
            print(f"{name} / {base}: {wall:.2f} by wall time, {cpu:.2f} by CPU time")


if __name__ == "__main__":
    main()
