"""Measure the peak memory of training: the small and the large catalogue, a Parquet file of 5 GB.

    python scripts/benchmark_memory.py [--epochs 1] [--gigabytes 5] [--skip-catalogue]

Each trains in a process of its own, baselines left out, while another watches it: `anonymous` is
memory that only the process can give back, `resident` counts pages of files, too, which the system
drops when it needs room. Targets: the large catalogue (100,000 rows) within 1.5 GB of the small
(2,000); everything below 4 GiB. The Parquet file is written to the temporary folder, and needs
about three times its size there. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LIMIT = 4 * 2**30
ROWS = 20_000  # of the Parquet file written together
WORDS, POOL = 30_000, 8_000_000
TEXTS = {"title": 60, "description": 1500, "review": 2200}  # mean number of characters
CONFIG: dict[str, Any] = {
    "data": {"max_words": 64, "vocabulary_size": 8000},
    "groups": [
        {
            "name": "table",
            "modality": "tabular",
            "columns": ["quality", "weight", "brand"],
            "encoder": "dense",
        },
        {"name": "words", "modality": "text", "columns": list(TEXTS), "encoder": "embedding_bag"},
    ],
}


def write_parquet(path: Path, size: float, seed: int = 0) -> int:
    """Write a Parquet file of at least `size` bytes of texts, numbers and prices; return its rows.

    Of eight million words, three fifths are drawn evenly and the others by Zipf's law; a text is a
    piece of them, so that the file's compression finds little to repeat.
    """
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(WORDS)])
    zipf = np.minimum(rng.zipf(1.2, POOL), WORDS) - 1
    even = rng.integers(0, WORDS, POOL)
    pool = " ".join(words[np.where(rng.random(POOL) < 0.6, even, zipf)])
    first = _rows(rng, pool, words[:400], 0)
    rows = 0
    with pq.ParquetWriter(path, first.schema) as writer:
        while path.stat().st_size < size:
            writer.write_table(_rows(rng, pool, words[:400], rows))
            rows += ROWS
    return rows


def _rows(rng: np.random.Generator, pool: str, brands: Any, first: int) -> pa.Table:
    quality, weight = rng.integers(1, 6, ROWS), rng.lognormal(1, 1, ROWS)
    brand = rng.integers(0, len(brands), ROWS)
    log = 0.5 * quality + 0.3 * np.log(weight) + 0.002 * brand + rng.normal(0, 0.2, ROWS)
    columns = {
        "id": np.arange(first, first + ROWS),
        "quality": quality,
        "weight": np.where(rng.random(ROWS) < 0.05, np.nan, weight),
        "brand": brands[brand],
        **{name: _pieces(rng, pool, mean) for name, mean in TEXTS.items()},
        "price": np.exp(log),
    }
    return pa.table(columns)


def _pieces(rng: np.random.Generator, pool: str, mean: int) -> list[str | None]:
    sizes = np.maximum(rng.normal(mean, mean / 4, ROWS).astype(int), 20)
    starts = rng.integers(0, len(pool) - sizes.max(), ROWS)
    there = rng.random(ROWS) > 0.05
    return [
        pool[start : start + size] if known else None
        for start, size, known in zip(starts.tolist(), sizes.tolist(), there, strict=True)
    ]


def train_catalogue(size: str, epochs: int) -> None:
    """Train on the generated catalogue."""
    from multimodal.data.generated import CONFIG as SPLIT
    from multimodal.data.generated import catalogue

    path, noise = catalogue(size)
    _train(path, {**SPLIT, "training": {"epochs": epochs}}, noise=noise)


def train_parquet(path: str, epochs: int) -> None:
    """Train a small model on the Parquet file, its prepared data beside it."""
    data = {**CONFIG["data"], "prepared": f"{path}-prepared"}
    _train(path, {**CONFIG, "data": data, "training": {"epochs": epochs, "batch_size": 512}})


def _train(path: str | Path, config: dict[str, Any], **options: Any) -> None:
    from multimodal.cli import load_backend, show_news

    load_backend()
    import multimodal

    wanted = multimodal.Config.parse(config).merge(training={"baselines": False})
    with tempfile.TemporaryDirectory() as folder, show_news():
        out = Path(folder, "run")
        multimodal.train(path, "price", out=out, config=wanted, **options)


def watch(name: str, work: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Run `work` in a process of its own; print and return its peaks in bytes."""
    start, peaks = time.perf_counter(), {"RssAnon": 0.0, "VmRSS": 0.0}
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    while process.is_alive():
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            key, _, rest = line.partition(":")
            if key in peaks:
                peaks[key] = max(peaks[key], 1024.0 * int(rest.split()[0]))
        process.join(0.1)
    if process.exitcode:
        raise SystemExit(f"{name}: training ended with {process.exitcode}")
    print(
        f"{name}: peak {peaks['RssAnon'] / 1e9:.2f} GB anonymous, {peaks['VmRSS'] / 1e9:.2f} GB "
        f"resident, {time.perf_counter() - start:.0f} s   target < {LIMIT / 1e9:.2f}"
    )
    return peaks


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gigabytes", type=float, default=0.0)
    parser.add_argument("--skip-catalogue", action="store_true")
    options = parser.parse_args()
    if not options.skip_catalogue:
        small, large = (
            watch(size, train_catalogue, size, options.epochs)["VmRSS"]
            for size in ("small", "large")
        )
        print(f"difference {(large - small) / 1e9:.2f} GB   target <= 1.50")
    if options.gigabytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "products.parquet")
            rows = write_parquet(path, options.gigabytes * 1e9)
            print(f"{path}: {rows:,} rows, {path.stat().st_size / 1e9:.2f} GB")
            watch("parquet", train_parquet, str(path), options.epochs)
            watch("parquet again", train_parquet, str(path), options.epochs)


if __name__ == "__main__":
    main()
