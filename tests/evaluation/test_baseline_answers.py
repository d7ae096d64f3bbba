"""What baselines answer is written down row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from multimodal.evaluation.predictions import (
    BASELINE_PREDICTIONS_FILE,
    baseline_predictions,
    write_baseline_predictions,
)
from multimodal.evaluation.task import Task


def test_all_heads_share_one_file(tmp_path: Path) -> None:
    mood = Task("mood", "class", ["NA", "01"])
    write_baseline_predictions(
        tmp_path,
        [
            baseline_predictions(mood, "Shares", np.array([7, 2]), [[0.2, 0.8], [0.6, 0.4]]),
            baseline_predictions(Task("price"), "Median", np.array([9, 4]), [[1.5], [2.5]]),
        ],
    )
    found = pd.read_csv(tmp_path / BASELINE_PREDICTIONS_FILE, dtype=str, keep_default_na=False)
    assert found[["head", "model", "row", "prediction"]].to_numpy().tolist() == [
        ["mood", "Shares", "2", "NA"],
        ["mood", "Shares", "7", "01"],
        ["price", "Median", "4", "2.5"],
        ["price", "Median", "9", "1.5"],
    ]
    assert list(found["probability_01"]) == ["0.4", "0.8", "", ""]


def test_boxes_are_in_pixels() -> None:
    box = Task("cell", "box")
    found = baseline_predictions(box, "Mean box", np.array([0]), [[0, 0, 0.5, 1]], [[200, 100]])
    assert found[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [[0, 0, 100, 100]]


def test_without_baselines_there_is_no_file(tmp_path: Path) -> None:
    write_baseline_predictions(tmp_path, [])
    assert not list(tmp_path.iterdir())
