"""What is in the photo, and where? A category and a box from one trunk.

    python scripts/examples/boxes.py --data BCCD  # blood cells of three kinds (Pascal VOC format)

Squares are cut out around cells drawn at random, as many of each kind. Beside the model stand the
most frequent category and its mean box.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from drawn import options
from voc import CORNERS, cut_outs, mean_box, objects, report

import multimodal

ENCODER = {
    "name": "convolutional",
    "options": {
        "filters": [32, 64, 96, 128],
        "strides": [1] * 4,
        "pool_sizes": [2, 2, 2, 1],
        "normalization": "group",
    },
}
CONFIG = {
    "groups": [
        {
            "name": "photos",
            "modality": "image",
            "columns": ["image"],
            "encoder": ENCODER,
            "pooling": "grid",
        }
    ],
    "heads": [
        {"name": "box", "column": CORNERS, "head": "bounding_box"},
        {"name": "category", "column": "category", "head": "multiclass"},
    ],
    "data": {"split": {"method": "column", "column": "split"}},
}


def main() -> None:
    """Train on the cut-outs, score the test ones."""
    given = options(__doc__, data=Path, rows=900, epochs=20)
    with tempfile.TemporaryDirectory() as folder:
        count = {"train": given.rows, "validation": 80, "test": 100}
        table = cut_outs(objects(given.data), count, Path(folder)).drop(columns="photo")
        training = {"epochs": given.epochs, "baselines": False}
        config = multimodal.Config.parse({**CONFIG, "training": training})
        run = multimodal.train(
            table, [*CORNERS, "category"], out=Path(folder) / "run", images=folder, config=config
        )
        train, test = (table[table["split"] == split] for split in ("train", "test"))
        found = run.predict(test, images=folder).frame
        common = train["category"].mode()[0]
        mean = mean_box(train[train["category"] == common], test, Path(folder))
    boxes = found[[f"box_{name}" for name in CORNERS]].to_numpy()
    report(
        "model",
        boxes,
        found["category_prediction"].to_numpy(),
        found["category_probability"].to_numpy(),
        test,
    )
    report("majority class, mean box", mean, np.full(len(test), common), np.ones(len(test)), test)


if __name__ == "__main__":
    main()
