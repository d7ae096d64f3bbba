"""The folder of a study: bound to its request, locked, left clean; predictions in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.errors import RunError
from multimodal.data.prepare import prepare
from multimodal.studies.compare.results import OUT_OF_FOLD_FILE, Candidate, OutOfFoldPredictions
from multimodal.studies.fits import Fit, tasks
from multimodal.studies.folder import FITS, REQUEST_FILE, study_folder, write_out_of_fold

REQUEST = {"config": {"epochs": 3}, "targets": ["price"], "command": "one"}


def begin(out: Path) -> None:
    with study_folder(out, REQUEST):
        (out / FITS).mkdir()
        (out / FITS / "a.npz").write_bytes(b"x")


def test_the_same_goes_on_and_the_command_does_not_matter(tmp_path: Path) -> None:
    begin(tmp_path / "out")
    with study_folder(tmp_path / "out", {**REQUEST, "command": "two"}):
        assert (tmp_path / "out" / FITS / "a.npz").exists()
    assert json.loads((tmp_path / "out" / REQUEST_FILE).read_text())["command"] == "one"


def test_something_else_is_named(tmp_path: Path) -> None:
    begin(tmp_path)
    with (
        pytest.raises(RunError, match=r"config\.epochs was 3, is 4"),
        study_folder(tmp_path, {**REQUEST, "config": {"epochs": 4}}),
    ):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with (
        pytest.raises(RunError, match="already there and not empty"),
        study_folder(tmp_path, REQUEST),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_without_a_fit_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), study_folder(tmp_path / "out", REQUEST):
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()


def test_damaged_records_and_full_disks_are_told(tmp_path: Path) -> None:
    begin(tmp_path)
    with (
        pytest.raises(RunError, match="cannot be written .*goes on"),
        study_folder(tmp_path, REQUEST),
    ):
        raise OSError(28, "No space left on device")
    (tmp_path / REQUEST_FILE).write_text("{")
    with pytest.raises(RunError, match=r"asked\.json: damaged"), study_folder(tmp_path, REQUEST):
        pass


def test_another_process_is_turned_away(tmp_path: Path) -> None:
    with (
        study_folder(tmp_path, REQUEST),
        pytest.raises(RunError, match="another process is training into it"),
        study_folder(tmp_path, REQUEST),
    ):
        pass


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
