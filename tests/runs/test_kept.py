"""What a training keeps of its rows: labels as shown, lines, photos, no pickle, few bytes."""

from __future__ import annotations

import zipfile

import numpy as np
import pandas as pd
from runs import Trained

from multimodal.explain.neighbours import ROWS_FILE, VECTORS_FILE, load
from multimodal.runs.example_rows import UNKNOWN, _shown


def test_rows_are_those_of_the_training_split(trained: Trained) -> None:
    known = load(trained.run)
    assert known is not None
    table = pd.read_csv(trained.folder / "catalogue.csv")
    lines = [row.line for row in known.rows]
    assert sorted(lines) == lines and len(set(lines)) == 120
    assert set(table["split"][np.array(lines) - 2]) == {"train"}
    for row in known.rows[:5]:
        cells = table.iloc[row.line - 2]
        assert row.photos == [cells["image"]]
        assert cells["description"].startswith(row.text[:30])


def test_files_hold_no_pickle(trained: Trained) -> None:
    with zipfile.ZipFile(trained.run / VECTORS_FILE) as archive:
        assert archive.namelist() == ["vectors.npy"]
    assert np.load(trained.run / VECTORS_FILE)["vectors"].dtype == np.float16
    assert (trained.run / ROWS_FILE).read_text().startswith('{"rows":[')


def test_labels_that_are_not_known_are_a_dash() -> None:
    assert [_shown(None), _shown(float("nan")), _shown(449.5), _shown("red|big")] == [
        UNKNOWN,
        UNKNOWN,
        "449.5",
        "red|big",
    ]
