"""Photos with boxes in Pascal VOC format as tables of one object per row, and their score."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import bootstrap

from multimodal.data.labels.boxes import iou, mean_average_precision, to_fractions, to_pixels

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
_LARGEST, _SMALLEST = 2.2, 1.4  # sides of a cut-out, in sides of its object


def objects(folder: Path) -> pd.DataFrame:
    """Return image, category, corners in pixels and, where the set is divided, its split."""
    split = {
        name: {"val": "validation"}.get(file.stem, file.stem)
        for file in folder.glob("ImageSets/Main/*.txt")
        if file.stem in ("train", "val", "test")
        for name in file.read_text().split()
    }
    rows = []
    for path in sorted(folder.rglob("*.xml")):
        tree = ElementTree.parse(path).getroot()
        image = next(folder.rglob(f"{path.stem}.jpg"))
        for found in tree.iter("object"):
            corners = [int(found.findtext(f"bndbox/{name}", "")) for name in CORNERS]
            category = found.findtext("name", "")
            rows.append((str(image), category, *corners, split.get(path.stem, "")))
    table = pd.DataFrame(rows, columns=["image", "category", *CORNERS, "split"])
    return table[(table["xmax"] > table["xmin"]) & (table["ymax"] > table["ymin"])]


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the largest object of each photo."""
    area = (table["xmax"] - table["xmin"]) * (table["ymax"] - table["ymin"])
    return table.loc[area.groupby(table["image"]).idxmax()].reset_index(drop=True)


def cut_outs(table: pd.DataFrame, count: dict[str, int], out: Path, seed: int = 0) -> pd.DataFrame:
    """Cut squares around objects drawn at random, `count` of every category for each split.

    The object lies anywhere in its square, whose side is 1.4 to 2.2 times the object's longer one.
    """
    rng, rows = np.random.default_rng(seed), []
    for (split, category), group in table.groupby(["split", "category"]):
        for number in rng.choice(len(group), count[split], replace=len(group) < count[split]):
            row = group.iloc[number]
            box = row[CORNERS].to_numpy(float)
            sides = box[2:] - box[:2]
            side = rng.uniform(_SMALLEST, _LARGEST) * sides.max()
            corner = np.round(box[:2] - rng.uniform(0, 1, 2) * (side - sides))
            name = f"{split}-{category}-{len(rows)}.jpg"
            with Image.open(row["image"]) as photo:
                photo.crop((*corner, *(corner + round(side)))).save(out / name, quality=95)
            rows.append((name, category, *(box - np.tile(corner, 2)), split, row["image"]))
    return pd.DataFrame(rows, columns=[*table.columns[:-1], "split", "photo"])


def mean_box(train: pd.DataFrame, test: pd.DataFrame, folder: Path) -> np.ndarray:
    """Return the mean box of the training photos, as shares, in pixels of each test photo."""
    sizes = [[Image.open(folder / name).size for name in table["image"]] for table in (train, test)]
    mean = to_fractions(train[CORNERS], sizes[0]).mean(axis=0)
    return to_pixels(np.tile(mean, (len(test), 1)), sizes[1])


def interval(measure: Callable[[np.ndarray], float], rows: int) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a measure that takes positions of rows."""
    drawn = bootstrap(
        (np.arange(rows),),
        measure,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return drawn.confidence_interval


def report(
    name: str, boxes: np.ndarray, classes: np.ndarray, sure: np.ndarray, y_true: pd.DataFrame
) -> None:
    """Print mean IoU and mAP@.5, each with a 95 % bootstrap interval."""
    overlap, true = iou(boxes, y_true[CORNERS]), y_true[CORNERS].to_numpy()
    kinds = y_true["category"].to_numpy()
    measures = {
        "IoU": lambda i: float(overlap[i].mean()),
        "mAP@.5": lambda i: mean_average_precision(
            boxes[i], classes[i], sure[i], true[i], kinds[i]
        ),
    }
    for measure, function in measures.items():
        low, high = interval(function, len(y_true))
        print(f"{name}: {measure} {function(np.arange(len(y_true))):.3f} ({low:.3f} to {high:.3f})")
