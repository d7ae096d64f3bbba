"""Is fine-tuning worth it? 300 rows of a shifted catalogue, from a run and from scratch.

    python scripts/benchmark_finetune.py --from RUN [--seeds 10]

Each seed draws a catalogue of its own with another price level, new brands and new words: 240
training, 60 validation and 1,000 test rows. The same rows train a model from scratch and one that
starts from RUN, with the same settings; the table shows the error of log price of both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from multimodal.cli import load_backend, report_errors

ROWS = (240, 60, 1000)


def error(path: Path, base: Path | None, seed: int, epochs: int) -> float:
    """Train on one shifted catalogue and return the error of log price on its test rows."""
    import multimodal
    from multimodal.data.generated import CONFIG
    from multimodal.evaluation.records import RunMetrics

    training = {"baselines": False, "epochs": epochs, "seed": seed}
    config = multimodal.Config.parse({**CONFIG, "training": training})
    with tempfile.TemporaryDirectory() as folder:
        multimodal.train(path, "price", out=folder, config=config, base=base)
        return RunMetrics.read(Path(folder)).heads["price"].test["log_rmse"]


def main() -> None:
    """Train both ways for every seed and print the paired table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--from", dest="base", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=25)
    arguments = parser.parse_args()
    load_backend()
    from multimodal.data.generated import builder_package

    drawn = builder_package()
    gains = []
    print("seed  from scratch  from run  difference")
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            path = (
                drawn.export(Path(folder) / "c", ROWS, seed, shift=drawn.Shift()) / "catalogue.csv"
            )
            scratch = error(path, None, seed, arguments.epochs)
            tuned = error(path, arguments.base, seed, arguments.epochs)
        gains.append(scratch - tuned)
        print(f"{seed:4}  {scratch:12.4f}  {tuned:8.4f}  {scratch - tuned:10.4f}", flush=True)
    better = sum(gain > 0 for gain in gains)
    spread = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    print(
        f"mean difference {statistics.mean(gains):.4f}, standard error {spread:.4f}, "
        f"better in {better} of {len(gains)}"
    )


if __name__ == "__main__":
    with report_errors():
        main()
