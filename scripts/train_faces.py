"""Age and emotion from one face, learned from files that each know only one of the two.

    python scripts/train_faces.py                                          # drawn faces
    python scripts/train_faces.py --data ages.csv emotions.csv --images photos

The files have a column `image` and one or both of `age` (years) and `emotion` (a word).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console

import multimodal
from multimodal.cli import free_folder, load_backend, report_errors, show_comparison, show_news
from multimodal.data.generated import faces

CONFIG = {
    "groups": [
        {
            "name": "photos",
            "modality": "image",
            "columns": ["image"],
            "encoder": {
                "name": "convolutional",
                "options": {
                    "filters": [32, 64, 96, 128],
                    "strides": [1, 1, 1, 1],
                    "pool_sizes": [2, 2, 2, 1],
                },
            },
            "pooling": "grid",
        }
    ],
    "heads": [
        {"name": "age", "column": "age", "partial": True, "weight": "learned"},
        {
            "name": "emotion",
            "column": "emotion",
            "head": "multiclass",
            "partial": True,
            "weight": "learned",
        },
    ],
}


def main() -> None:
    """Train one model of both labels, then print each head beside its baselines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", help="CSV files; default: drawn faces")
    parser.add_argument("--images", type=Path, help="folder that photo paths start from")
    parser.add_argument("--out", type=Path, help="run directory (default: runs/faces, numbered)")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--quick", action="store_true", help="600 faces instead of 6,000")
    arguments, console = parser.parse_args(), Console(markup=False, highlight=False, emoji=False)
    load_backend()
    files = arguments.data or faces("small" if arguments.quick else "default")
    table = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    config = multimodal.Config.parse({**CONFIG, "training": {"epochs": arguments.epochs}})
    command = shlex.join(["python", *sys.argv])
    with show_news(console):
        run = multimodal.train(
            table,
            ["age", "emotion"],
            out=arguments.out or free_folder(Path("runs/faces"), command),
            config=config,
            images=arguments.images or files[0].parent,
            command=command,
        )
    show_comparison(run.path, console)
    console.print(f"report: {run.path / 'report.html'}")


if __name__ == "__main__":
    with report_errors():
        main()
