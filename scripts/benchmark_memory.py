"""Compare the peak memory of training on the large catalogue with that on the small one.

    python scripts/benchmark_memory.py [--epochs 1]

Each size trains in a process of its own, baselines left out; the peak is what the operating system
counted as resident. Target: the large catalogue (100,000 rows) within 1.5 GB of the small (2,000).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time

SIZES = ("small", "large")


def peak(size: str, epochs: int) -> tuple[float, float]:
    """Train on one size; return the peak resident memory in GB and the seconds it took."""
    from multimodal.cli import load_backend

    load_backend()
    import multimodal
    from multimodal.catalogue import CONFIG, catalogue

    start = time.perf_counter()
    path, noise = catalogue(size)
    config = multimodal.Config.parse({**CONFIG, "training": {"epochs": epochs, "baselines": False}})
    with tempfile.TemporaryDirectory() as folder:
        multimodal.train(path, "price", out=folder, config=config, noise=noise, say=print)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e9, time.perf_counter() - start


def main() -> None:
    """Measure both sizes and print their difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=1)
    epochs = parser.parse_args().epochs
    found = {}
    for size in SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[size], seconds = pool.apply(peak, (size, epochs))
        print(f"{size}: peak {found[size]:.2f} GB, {seconds:.0f} s")
    print(f"difference {found['large'] - found['small']:.2f} GB   target <= 1.50")


if __name__ == "__main__":
    main()
