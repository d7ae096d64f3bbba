"""Do explanations find what made the prices of the generated catalogue?

    python scripts/check_explanations.py [--run RUN] [--size default] [--explained 200]

Draws a catalogue, adds two columns that mean nothing, trains on it (or takes a run that was trained
so), explains test rows and compares with what is known of them: where the product is in the photo,
which words tell material, pieces and claims, what each modality adds to log price.
"""

from __future__ import annotations

import argparse
import importlib
import math
import re
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from multimodal.cli import load_backend, report_errors, show_news

PARTS = {"tabular": "table_part", "text": "text_part", "image": "photo_part"}
USELESS = ["shelf", "batch"]
NEGATIONS = {"not", "never", "really", "neither", "nor"}
Rates = dict[str, tuple[float, float]]


def useless(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a random category and a random number."""
    random = np.random.default_rng(0)
    shelf = random.choice(["A", "B", "C", "D", "E"], len(table))
    return table.assign(shelf=shelf, batch=random.normal(50, 9, len(table)).round(1))


def product(row: Any, seed: int, side: int, near: float = 0.0) -> Any:
    """Return bool (side, side): where the product is drawn, or as near to it as `near` pixels."""
    from multimodal.data.generated import builder_package

    name = builder_package().__name__
    photos, world = (importlib.import_module(f"{name}.{each}") for each in ("photos", "world"))
    random = Random(f"catalogue/{seed}/{int(row.id[1:])}/pixels")
    photos._colours(random)
    scratched = world.SCRATCHES[int(row.wear)] * photos.SCRATCH_AREA
    x, y = photos._place(random, math.sqrt(1 + scratched / (math.pi * photos.RADIUS**2)))
    inside = photos.SILHOUETTES[row["shape"]](x, y) < near
    places = (np.arange(side) + 0.5) * len(inside) / side
    return inside[np.ix_(places.astype(int), places.astype(int))]


def telling(text: str, spans: Any, material: str) -> Any:
    """Return bool (words,): which words tell the body's material, pieces, claims or negate them."""
    from multimodal.data.generated import builder_package

    known = importlib.import_module(f"{builder_package().__name__}.descriptions")
    claims = {*known.WORDS["waterproof"], *known.WORDS["refurbished"]}
    numbers = {"sets", "set", *known._NUMBER_WORDS.values(), *map(str, known._NUMBER_WORDS)}
    found = []
    for start, end in spans:
        sentence = next(m.group() for m in re.finditer(r"[^.]*\.", text) if m.end() >= end)
        claimed = any(claim in sentence for claim in claims)
        offered = any(offer in sentence for offer in known._OFFERS)
        word = text[start:end].lower()
        found.append(
            word in known.WORDS[material]
            or word in claims
            or (claimed and word in NEGATIONS)
            or (offered and word in numbers)
        )
    return np.array(found)


def points(scores: Any, row: Any, seed: int, near: float) -> tuple[float, float]:
    """Return whether the strongest place lies in the product, and the product's share."""
    from PIL import Image

    wide = Image.fromarray(np.abs(scores).astype(np.float32)).resize((80, 80), 3)
    inside = product(row, seed, 80, near)
    return float(inside.ravel()[np.asarray(wide).argmax()]), float(inside.mean())


def rates(run: Any, table: pd.DataFrame, folder: Path, seed: int = 0) -> Rates:
    """Return what explanations find, and what chance would, by what was asked of them."""
    found: dict[str, list[tuple[float, float]]] = {}
    groups: dict[str, list[float]] = {}
    columns: dict[str, list[float]] = {}
    shown = table.drop(columns="price")
    for each in run.explain(shown, images=folder, limit=len(table)):
        row = table.iloc[each.row]
        for group in each.groups:
            groups.setdefault(PARTS[group.modality], []).append(group.score)
        for column in each.columns.columns:
            columns.setdefault(column.name, []).append(abs(column.score))
        (photo,), (words,) = each.photos, each.words
        cell = 80 / len(photo.gradients)
        asked = {
            "photo: hiding, in the product": points(photo.hidden, row, seed, 0),
            "photo: Grad-CAM, a cell around": points(photo.gradients, row, seed, cell),
        }
        tells = telling(words.text, words.spans, row.material)
        order, count = np.argsort(-np.abs(words.scores)), int(tells.sum())
        asked["words: the strongest one tells"] = (float(tells[order[0]]), tells.mean())
        asked["words: telling among as many"] = (tells[order[:count]].mean(), tells.mean())
        for name, pair in asked.items():
            found.setdefault(name, []).append(pair)
    result = {name: tuple(np.mean(pairs, axis=0).tolist()) for name, pairs in found.items()}
    for part, scores in groups.items():
        true = float(np.corrcoef(scores, table[part][: len(scores)])[0, 1])
        result[f"groups: correlation with {part}"] = (true, 0.0)
    known = {name: float(np.mean(scores)) for name, scores in columns.items()}
    for name, score in sorted(known.items(), key=lambda item: -item[1]):
        noise = max((known[each] for each in USELESS if each in known), default=0.0)
        result[f"columns: mean |score| of {name}"] = (score, noise)
    return result  # type: ignore[return-value]


def main() -> None:
    """Train or load, explain, print the rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run of this script (default: train one)")
    parser.add_argument("--out", type=Path, help="keep the run here")
    parser.add_argument("--size", default="default", help="small, default or large catalogue")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--explained", type=int, default=200, help="test rows to explain")
    arguments = parser.parse_args()
    load_backend()
    import multimodal
    from multimodal.data.generated import CONFIG, catalogue

    path, _ = catalogue(arguments.size)
    y_true = pd.read_csv(path.parent / "truth.csv", usecols=lambda name: name != "noise")
    table = useless(pd.read_csv(path))
    with tempfile.TemporaryDirectory() as folder, show_news():
        training = {"epochs": arguments.epochs, "baselines": False}
        config = multimodal.Config.parse({**CONFIG, "training": training})
        run = (
            multimodal.load(arguments.run)
            if arguments.run
            else multimodal.train(
                table,
                "price",
                out=arguments.out or folder,
                config=config,
                images=path.parent,
            )
        )
        test = table[table["split"] == "test"].head(arguments.explained)
        rows = test.merge(y_true, on="id").reset_index(drop=True)
        print(f"{'of ' + str(len(rows)) + ' test rows':40}  found  chance")
        for name, (value, chance) in rates(run, rows, path.parent).items():
            print(f"{name:40}  {value:5.2f}  {chance:6.2f}", flush=True)


if __name__ == "__main__":
    with report_errors():
        main()
