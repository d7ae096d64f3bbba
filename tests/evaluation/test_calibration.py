"""The record of a calibration: made from arrays, written, read, and refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.core.spec import FittedSpec
from multimodal.evaluation.calibration import (
    CALIBRATION,
    Calibration,
    calibrate,
    read_calibration,
    write_calibration,
)
from multimodal.evaluation.task import Task
from multimodal.heads import BoundingBoxHead, MulticlassHead, QuantileHead, RegressionHead

RANDOM = np.random.default_rng(0)
ROWS = 400
TASKS = [
    Task("price"),
    Task("mood", "class", ["sad", "glad", "calm"]),
    Task("tags", "labels", ["a"]),
    Task("cell", "box"),
    Task("range", quantiles=[0.1, 0.5, 0.9]),
]
LAYERS = {
    "price": RegressionHead("log1p", mean=2.0, scale=0.5),
    "mood": MulticlassHead(3),
    "tags": None,
    "cell": BoundingBoxHead(),
    "range": QuantileHead([0.1, 0.5, 0.9]),
}
SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "t",
                "modality": "tabular",
                "columns": ["x", "y"],
                "numeric": [{"name": "x", "source": "x"}],
                "categorical": [{"name": "y", "source": "y"}],
            }
        ],
        "heads": [{"name": task.name, "columns": [task.name], "kind": task.kind} for task in TASKS],
    }
)


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    guess = RANDOM.uniform(1, 9, ROWS)
    wide = np.stack([guess - 1, guess, guess + 1], axis=1)
    outputs = {
        "price": guess[:, None],
        "mood": RANDOM.dirichlet(np.full(3, 0.2), ROWS),
        "tags": RANDOM.uniform(size=(ROWS, 1)),
        "cell": RANDOM.uniform(size=(ROWS, 4)),
        "range": wide,
    }
    labels = {
        "price": guess * np.exp(RANDOM.normal(0, 0.2, ROWS)),
        "mood": RANDOM.integers(0, 3, ROWS),
        "tags": RANDOM.integers(0, 2, (ROWS, 1)).astype(float),
        "cell": outputs["cell"],
        "range": guess + RANDOM.normal(size=ROWS),
    }
    labels["price"][::3] = np.nan
    inputs = {
        "t_numeric": RANDOM.normal(size=(ROWS, 1)),
        "t_categorical": RANDOM.integers(1, 4, (ROWS, 1)),
    }
    weights = {name: np.ones(ROWS) for name in outputs}
    return {"outputs": outputs, "labels": labels, "weights": weights, "inputs": inputs}


@pytest.fixture(scope="module")
def found(arrays: dict[str, Any]) -> Calibration:
    return calibrate(TASKS, LAYERS, SPEC, **arrays)


def test_each_kind_of_head_gets_what_it_can_use(found: Calibration) -> None:
    assert set(found.numbers) == {"price", "range"} and set(found.temperatures) == {"mood", "tags"}
    assert found.numbers["price"].space.transform == "log1p"
    assert found.numbers["price"].rows == ROWS - len(range(0, ROWS, 3))
    assert found.temperatures["mood"] > 2  # the truths are drawn without regard to the answers


def test_numbers_stay_and_probabilities_cool(found: Calibration, arrays: dict[str, Any]) -> None:
    outputs = found.tempered(TASKS, arrays["outputs"])
    for name in ("price", "cell", "range"):
        np.testing.assert_array_equal(outputs[name], arrays["outputs"][name])
    assert outputs["mood"].max() < arrays["outputs"]["mood"].max()


def test_intervals_come_from_the_rows_own_arrays(
    found: Calibration, arrays: dict[str, Any]
) -> None:
    for name in ("price", "range"):
        low, high = found.interval(name, arrays["outputs"][name], 0.8, arrays["inputs"])
        y_true = arrays["labels"][name]
        known = np.isfinite(y_true)
        assert ((low <= y_true) & (y_true <= high))[known].mean() == pytest.approx(0.8, abs=0.03)
    with pytest.raises(RunError, match="mood: there were no rows to calibrate"):
        found.interval("mood", arrays["outputs"]["price"], 0.8, arrays["inputs"])


def test_a_head_without_labels_is_left_out(arrays: dict[str, Any]) -> None:
    none = {**arrays["labels"], "price": np.full(ROWS, np.nan), "mood": np.full(ROWS, -1)}
    found = calibrate(TASKS, LAYERS, SPEC, **{**arrays, "labels": none})
    assert set(found.numbers) == {"range"} and set(found.temperatures) == {"tags"}
    assert (found.tempered(TASKS, arrays["outputs"])["mood"] == arrays["outputs"]["mood"]).all()


def test_it_comes_back_from_the_file(found: Calibration, tmp_path: Path) -> None:
    write_calibration(tmp_path, found)
    assert read_calibration(tmp_path, SPEC) == found


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda v: v.update(extra=1), "`extra`: Extra inputs"),
        (lambda v: v["numbers"]["price"].update(upper=[2, 1]), "`numbers.price`: .*must rise"),
        (lambda v: v["numbers"].update(mood=v["numbers"]["price"]), "of another model"),
        (lambda v: v["temperatures"].update(price=2.0), "of another model"),
        (lambda v: v["temperatures"].update(mood=1e9), "not from 0.2 to 10"),
        (lambda v: v["features"].append({"key": "t_numeric", "column": 7}), "of another model"),
        (lambda v: v.update(usual={"groups": [{"group": "w"}]}), "of another model"),
        (lambda v: v.update(version=2), "`version`"),
    ],
)
def test_a_damaged_file_is_refused(
    found: Calibration, tmp_path: Path, change: Any, match: str
) -> None:
    values = json.loads(found.model_dump_json())
    change(values)
    (tmp_path / CALIBRATION).write_text(json.dumps(values))
    with pytest.raises(RunError, match=match):
        read_calibration(tmp_path, SPEC)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"numbers": '])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CALIBRATION).write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        read_calibration(tmp_path, SPEC)
    with pytest.raises(RunError, match="cannot be read"):
        read_calibration(tmp_path / "none", SPEC)
