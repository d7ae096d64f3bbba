"""The splits of the rows: seen as predicted, measured, with what proved damaged left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from explained import untrained
from tiny import PHOTOS, TABLE, plain_config, plain_rows, tiny_config

from multimodal.data.prepare import Prepared, prepare
from multimodal.models.stack.stack import OutOfFold
from multimodal.runs.run import Run
from multimodal.runs.scoring import (
    damage_warning,
    head_metrics,
    known_limit,
    out_of_fold_predictions,
    predict_split,
    predictions_table,
    read_split,
)


@pytest.fixture(scope="module")
def plain() -> tuple[Run, Prepared]:
    prepared = prepare(plain_rows(), ["price", "cost"], plain_config(linear=False), weight="weight")
    return untrained(prepared), prepared


def test_a_split_is_read_as_it_is_predicted(catalogue_folder: Path) -> None:
    config = tiny_config(TABLE, PHOTOS, linear=False)
    prepared = prepare(catalogue_folder / "catalogue.csv", ["price"], config)
    gone = prepared.rows("validation")[3]
    cells = prepared.table.frame["image"].to_numpy(object, copy=True)
    broken = catalogue_folder / "photos" / "broken.jpg"
    broken.write_bytes(b"no photo")
    cells[gone] = "photos/broken.jpg"
    prepared.table.frame["image"] = cells
    run = untrained(prepared)
    faults: tuple[dict[int, str], dict[int, str]] = ({}, {})
    one, two = (
        look(run, prepared, "validation", each)
        for look, each in zip((read_split, predict_split), faults, strict=True)
    )
    broken.unlink()
    assert faults[0] == faults[1] and list(faults[0]) == [gone]
    assert gone not in one.rows and len(one.rows) == 29
    np.testing.assert_array_equal(one.rows, two.rows)
    assert one.outputs == {} and two.outputs["price"].shape == (29, 1)
    for mine, other in ((one.inputs, two.inputs), (one.statistics, two.statistics)):
        assert mine.keys() == other.keys() and mine
        for name, values in mine.items():
            np.testing.assert_array_equal(values, other[name])
    warning = damage_warning(prepared, faults[0])
    assert "proved damaged when it was decoded: 1." in warning
    assert prepared.table.place(int(gone)) in warning


def test_a_split_without_photos_is_read(plain: tuple[Run, Prepared]) -> None:
    faults: dict[int, str] = {}
    found = read_split(*plain, "validation", faults)
    np.testing.assert_array_equal(found.rows, plain[1].rows("validation"))
    assert found.inputs["table_numeric"].shape[0] == len(found.rows) and not faults


def test_labels_and_predictions_stand_side_by_side(plain: tuple[Run, Prepared]) -> None:
    run, prepared = plain
    predictions = predict_split(run, prepared, "test", {})
    frame = predictions_table(prepared, run.tasks, predictions)
    assert list(frame) == [
        "row",
        "weight",
        "price_true",
        "price_prediction",
        "cost_true",
        "cost_prediction",
    ]
    wanted = prepared.table.frame["price"].iloc[predictions.rows]
    np.testing.assert_allclose(frame["price_true"], wanted)
    found = head_metrics(prepared, run.tasks, {"validation": predictions, "test": predictions})
    error = (frame["price_true"] - frame["price_prediction"]).abs().mean()
    assert found["price"].test["mae"] == pytest.approx(error)
    assert found["cost"].column == "cost" and found["cost"].validation == found["cost"].test


def test_rows_held_out_come_with_their_inputs(plain: tuple[Run, Prepared]) -> None:
    _, prepared = plain
    held = OutOfFold(np.array([4, 2]), {"price": np.ones((2, 1))}, {7: "damaged"})
    faults = {1: "cut"}
    found = out_of_fold_predictions(prepared, held, faults)
    assert faults == {1: "cut", 7: "damaged"}
    for key, values in found.inputs.items():
        np.testing.assert_array_equal(values, prepared.source.inputs[key][[4, 2]])


def test_the_limit_is_the_size_of_the_noise(plain: tuple[Run, Prepared]) -> None:
    _, prepared = plain
    noise = np.where(np.arange(80) < 2, 3.0, 0.0)
    assert known_limit(prepared, None, np.arange(4)) == {}
    found = known_limit(prepared, noise, np.arange(4))["price"]["log_rmse"]
    assert found == pytest.approx(np.sqrt(4.5))
