"""Where is it? One box in a photo, from a few hundred photos.

    python scripts/examples/one_box.py --data raccoon       # Pascal VOC format
    python scripts/examples/one_box.py --data raccoon --photos efficientnet_lite0

Of several objects in a photo the largest counts. Every photo is predicted by a model that has not
seen it (five folds); beside the boxes stands the mean box of each fold's training photos.
`--photos` names pretrained weights that are on this machine (`multimodal weights`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from drawn import options
from voc import CORNERS, interval, largest, mean_box, objects

import multimodal
from multimodal.data.labels.boxes import iou

CONFIG = {
    "heads": [{"name": "box", "column": CORNERS, "head": "bounding_box"}],
    "data": {"split": {"method": "column", "column": "side"}},
    "training": {"baselines": False},
}


def main() -> None:
    """Train once per fold, print the mean overlap, its gain over the mean box, and intervals."""
    given = options(__doc__, data=Path, photos="", folds=5)
    table = largest(objects(given.data)).drop(columns=["category", "split"])
    table["image"] = [str(Path(name).relative_to(given.data)) for name in table["image"]]
    fold = np.random.default_rng(0).permutation(len(table)) % given.folds
    y_true, found = table[CORNERS].to_numpy(float), np.zeros((2, len(table), 4))
    config = multimodal.Config.parse(CONFIG).merge(data={"photos": given.photos or None})
    for k in range(given.folds):
        side = np.where(fold == k, "test", "train")
        with tempfile.TemporaryDirectory() as folder:
            run = multimodal.train(
                table.assign(side=side),
                CORNERS,
                out=Path(folder) / "run",
                images=given.data,
                config=config,
            )
            frame = run.predict(table[fold == k], images=given.data).frame
        found[0, fold == k] = frame[[f"box_{name}" for name in CORNERS]]
        found[1, fold == k] = mean_box(table[fold != k], table[fold == k], given.data)
    model, mean = (iou(boxes, y_true) for boxes in found)
    for name, overlap in (("model", model), ("mean box", mean), ("gain", model - mean)):
        low, high = interval(lambda i, o=overlap: float(o[i].mean()), len(table))
        right = "" if name == "gain" else f"; {np.mean(overlap >= 0.5):.3f} of them at least .5"
        print(f"{name}: IoU {overlap.mean():.3f} ({low:.3f} to {high:.3f}){right}")


if __name__ == "__main__":
    main()
