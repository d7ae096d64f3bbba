"""`out_of_fold.csv`: every model's answer to every row, enough to compute the table again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import plain_config, plain_rows

from multimodal.data.prepare import prepare
from multimodal.studies.compare.results import OUT_OF_FOLD_FILE, Candidate, OutOfFoldPredictions
from multimodal.studies.fits import Fit, tasks
from multimodal.studies.folder import write_out_of_fold


def test_every_answer_with_its_truth(tmp_path: Path) -> None:
    rows = plain_rows(60)
    rows["mood"] = np.where(rows["price"] > rows["price"].median(), "glad", "sad")
    prepared = prepare(rows, ["price", "mood"], plain_config())
    folds = np.arange(60) % 2
    y_true = prepared.labels["price"]
    both = Candidate("both", "fusion", "table", "both")
    one = Candidate("one", "sequential", "table", "one")
    shares = np.tile([0.25, 0.75], (30, 1))
    fits = {
        one: {0: [Fit({"price": np.full((30, 1), fold)}) for fold in range(2)]},
        both: {
            seed: [
                Fit({"price": y_true[folds == fold, None] + seed, "mood": shares})
                for fold in range(2)
            ]
            for seed in (0, 1)
        },
    }
    given = OutOfFoldPredictions(
        prepared.labels, prepared.source.weights, folds, np.arange(60), fits
    )
    write_out_of_fold(tmp_path, prepared, tasks(prepared), given)
    frame = pd.read_csv(tmp_path / OUT_OF_FOLD_FILE)
    assert len(frame) == 3 * 60
    assert list(frame)[:4] == ["model", "seed", "fold", "row"]
    second = frame[(frame["model"] == "both") & (frame["seed"] == 1)]
    assert (second["price_prediction"] - second["price_true"]).to_numpy() == pytest.approx(1.0)
    assert second["price_true"].to_numpy() == pytest.approx(rows["price"].to_numpy())
    assert set(second["mood_prediction"]) == {"sad"} and set(second["mood_true"]) == {"glad", "sad"}
    alone = frame[frame["model"] == "one"]
    assert (alone["price_prediction"] == alone["fold"]).all()
    assert alone["mood_prediction"].isna().all() and alone["mood_true"].notna().all()
