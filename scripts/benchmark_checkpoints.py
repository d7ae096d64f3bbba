"""Compare the time of a training with checkpoints with that of one without, in turn.

    python scripts/benchmark_checkpoints.py [--rounds 2] [--seconds 60] [--epochs 25]

Trains on the generated catalogue. Printed are the seconds of each fit, of which those spent on
checkpoints, and the median ratio of the two; the target is below 1.03.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import multimodal
from multimodal.cli import load_backend
from multimodal.data.generated import CONFIG, TARGET, catalogue
from multimodal.evaluation.records import RunMetrics


def fit_seconds(every: float | None, epochs: int) -> tuple[float, float, int]:
    """Train once; return the seconds of the fit, those of its checkpoints and their number.

    None stands for no checkpoints at all.
    """
    from multimodal.models.training.checkpoints import Checkpoints

    spent: list[float] = []
    save = Checkpoints.save

    def timed(*arguments: object, **options: object) -> None:
        if every is None:
            return
        start = time.perf_counter()
        save(*arguments, **options)  # type: ignore[arg-type]
        spent.append(time.perf_counter() - start)

    training = {"epochs": epochs, "baselines": False, "checkpoint_seconds": every or 60}
    config = multimodal.Config().merge(**CONFIG, training=training)
    Checkpoints.save = timed  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "run")
            multimodal.train(catalogue()[0], TARGET, out=out, config=config)
            return RunMetrics.read(out).training.seconds, sum(spent), len(spent)
    finally:
        Checkpoints.save = save  # type: ignore[method-assign]


def main() -> None:
    """Train in turn, print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="between two checkpoints")
    parser.add_argument("--epochs", type=int, default=25)
    arguments = parser.parse_args()
    load_backend()
    ratios = []
    for _ in range(arguments.rounds):
        with_them, saving, number = fit_seconds(arguments.seconds, arguments.epochs)
        without, _, _ = fit_seconds(None, arguments.epochs)
        ratios.append(with_them / without)
        print(
            f"with {number} checkpoints {with_them:.1f} s, {saving:.2f} s of it to write them; "
            f"without {without:.1f} s; ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
