"""How many photos a second reach a model, from files and from the cache, by number of cores.

    python scripts/benchmark_feed.py FOLDER_OF_PHOTOS [--sizes 64,224] [--cores 1,2] [--seconds 5]

Batches of 256 rows come from `training_dataset`, augmented, without a model. Each number of cores
is measured in a process that may use no more; beside it as many processes of one core each, at the
same time, which share nothing: what threads reach of that is not lost to Python's lock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

BATCH = 256
ROUTES = ("files", "cache")


def rates(folder: str, size: int, cores: list[int], seconds: float) -> dict[str, float]:
    """Return photos per second from files and from the cache, on these cores alone."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.sched_setaffinity(0, cores)
    import numpy as np

    from multimodal.data.batches import Source, training_dataset
    from multimodal.data.photos.cache import PhotoCache
    from multimodal.data.photos.read import PhotoPaths

    files = sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
    paths = [[path] for path in islice(cycle(files), max(len(files), 2 * BATCH))]
    rows, ones = np.arange(len(paths)), {"y": np.ones(len(paths), np.float32)}

    def feed(cache: PhotoCache, epochs: int) -> int:
        source = Source({}, {"photos": cache}, ones, ones, {})
        data = training_dataset(source, rows, batch_size=BATCH, seed=0, epochs=epochs)
        return sum(len(weights["y"]) for _, _, weights in data)

    def empty() -> PhotoCache:
        return PhotoCache(PhotoPaths(paths, size), budget=2**32)

    cache, found = empty(), {}
    feed(cache, 1)
    for name in ROUTES:
        start, fed = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            fed += feed(empty() if name == "files" else cache, 1 if name == "files" else 20)
        found[name] = fed / (time.perf_counter() - start)
    return found


def at_once(folder: str, size: int, seconds: float, groups: list[list[int]]) -> dict[str, float]:
    """Run a process for each group of cores, at the same time; return the sum of their rates."""
    calls = [json.dumps([folder, size, cores, seconds]) for cores in groups]
    command = [sys.executable, __file__, "--child"]
    children = [
        subprocess.Popen([*command, call], stdout=subprocess.PIPE, text=True) for call in calls
    ]
    found = [json.loads(child.communicate()[0]) for child in children]
    return {name: sum(each[name] for each in found) for name in ROUTES}


def main() -> None:
    """Print a row for each size and number of cores."""
    if sys.argv[1] == "--child":
        print(json.dumps(rates(*json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--sizes", default="64,224")
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    usable = sorted(os.sched_getaffinity(0))
    print(f"{'photos/s':24}" + "".join(f"{f'{name}':>12}{'processes':>12}" for name in ROUTES))
    for size in map(int, given.sizes.split(",")):
        for number in map(int, given.cores.split(",")):
            cores = usable[:number]
            threads = at_once(given.folder, size, given.seconds, [cores])
            processes = at_once(given.folder, size, given.seconds, [[core] for core in cores])
            cells = "".join(f"{threads[name]:12,.0f}{processes[name]:12,.0f}" for name in ROUTES)
            print(f"{f'{size} px, {number} cores':24}{cells}", flush=True)


if __name__ == "__main__":
    main()
