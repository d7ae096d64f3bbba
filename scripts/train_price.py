"""Train a price model and write a run directory with its evidence.

    python scripts/train_price.py                                # the generated catalogue
    python scripts/train_price.py --data FILE --target price     # your own table

Without arguments it draws a catalogue of 10,000 products whose irreducible error is known, trains
the fusion and its baselines, and prints how close each comes.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

import multimodal
from multimodal.cli import free_folder, load_backend, report_errors, show_comparison, show_news
from multimodal.data.generated import CONFIG, TARGET, catalogue


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="CSV, TSV, Parquet or JSON Lines file")
    parser.add_argument("--target", default=TARGET, help="column to predict (default: price)")
    parser.add_argument("--images", type=Path, help="folder that photo paths start from")
    parser.add_argument("--config", type=Path, help="YAML file")
    parser.add_argument("--out", type=Path, help="run directory (default: runs/price, numbered)")
    parser.add_argument("--epochs", type=int, help="most epochs to train")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--minutes", type=float, help="all that the training may take")
    parser.add_argument("--quick", action="store_true", help="2,000 products, some minutes")
    return parser.parse_args()


def main() -> None:
    """Train, then print the comparison."""
    arguments, console = parse(), Console(markup=False, highlight=False, emoji=False)
    load_backend()
    from multimodal.models.training.progress import EpochProgress

    config = (
        multimodal.Config.from_yaml(arguments.config) if arguments.config else multimodal.Config()
    )
    training = {"seed": arguments.seed}
    if arguments.epochs:
        training["epochs"] = arguments.epochs
    data, noise = arguments.data, None
    if data is None:
        console.print("drawing the catalogue (kept for the next time)")
        data, noise = catalogue("small" if arguments.quick else "default")
        config = config.merge(**CONFIG)
        if arguments.quick and config.training.fold_models == "auto":
            training["fold_models"] = 1
    config = config.merge(training=training)
    command = shlex.join(["python", *sys.argv])
    with EpochProgress(console) as progress, show_news(console):
        run = multimodal.train(
            data,
            arguments.target,
            out=arguments.out or free_folder(Path("runs/price"), command),
            config=config,
            minutes=arguments.minutes,
            images=arguments.images,
            noise=noise,
            callbacks=[progress],
            command=command,
        )
    show_comparison(run.path, console)
    console.print(f"report: {run.path / 'report.html'}")


if __name__ == "__main__":
    with report_errors():
        main()
