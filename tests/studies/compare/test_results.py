"""Leaderboards from made-up predictions whose order, gains and doubts are known; their record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from candidates import BOTH, FOLDS, MEDIAN, RANDOM, TABLE, TREES, TRUTH, N, answered, stand

from multimodal.core.errors import RunError
from multimodal.evaluation.task import Task, measure
from multimodal.studies.compare.results import (
    RECORD_FILE,
    ComparisonRecord,
    OutOfFoldPredictions,
    leaderboard,
)
from multimodal.studies.fits import Fit


def test_the_best_comes_first_beside_the_best_simple_one() -> None:
    given = answered({MEDIAN: 1.0, TREES: 0.5, TABLE: 0.6, BOTH: 0.4})
    found = stand(given, [(BOTH.name, TABLE.name)])
    assert [each.name for each in found.standings] == [
        BOTH.name,
        TREES.name,
        TABLE.name,
        MEDIAN.name,
    ]
    assert (found.reference, found.metrics, found.rows) == (TREES.name, ["log_rmse", "mae"], N)
    best, trees, *_ = found.standings
    assert trees.versus is None and best.versus is not None
    assert best.versus.gain == pytest.approx(0.2, abs=0.01)
    assert 0.17 < best.versus.low < best.versus.gain < best.versus.high < 0.23
    assert best.versus.folds_won == 5 and best.versus.p < 0.01
    assert best.versus.p_folds is not None and best.versus.p_folds < 0.05
    assert found.standings[-1].label == "Median"
    (addition,) = found.additions
    assert (addition.adds, addition.to) == ("text", "table")
    assert addition.difference.gain == pytest.approx(1 / 3, abs=0.02)


def test_values_are_means_over_the_seeds_of_what_measure_says() -> None:
    weight = RANDOM.random(N)
    given = answered({TREES: 0.5}, seeds=3, weight=weight)
    (standing,) = stand(given).standings
    each = [
        measure(Task("price"), TRUTH, given.outputs(TREES, seed, "price"), weight)["log_rmse"]
        for seed in range(3)
    ]
    value, low, high = standing.values["log_rmse"]
    assert value == pytest.approx(np.mean(each)) == pytest.approx(standing.metrics["log_rmse"])
    assert low < value < high
    assert (standing.seeds, standing.parameters, standing.seconds) == ([0, 1, 2], 10, 2.0)
    assert len(standing.by_fold) == 5


def test_a_tie_is_a_tie() -> None:
    found = stand(answered({TREES: 0.5, BOTH: 0.5}))
    versus = next(s.versus for s in found.standings if s.versus)
    assert versus.low < 0 < versus.high and versus.p > 0.05


def test_rows_without_label_or_weight_do_not_count() -> None:
    y_true, weight = TRUTH.copy(), np.ones(N)
    y_true[:20], weight[20:50] = np.nan, 0.0
    found = stand(answered({TREES: 0.5}, weight=weight, y_true=y_true))
    assert found.rows == N - 50


def test_seeds_that_both_have_are_compared() -> None:
    given = answered({TREES: 0.5, BOTH: 0.4}, seeds=3)
    fits = {candidate: dict(seeds) for candidate, seeds in given.fits.items()}
    del fits[BOTH][0], fits[BOTH][2]
    found = stand(OutOfFoldPredictions(given.labels, given.weights, FOLDS, np.arange(N), fits))
    assert found.standings[0].seeds == [1]
    assert found.standings[0].versus is not None
    assert found.standings[0].versus.gain == pytest.approx(0.2, abs=0.02)


def test_a_model_that_does_not_serve_a_head_is_not_there() -> None:
    given = answered({TREES: 0.5, BOTH: 0.4})
    assert (
        leaderboard(
            Task("mood"),
            "mood",
            OutOfFoldPredictions(
                {"mood": TRUTH}, {"mood": np.ones(N)}, FOLDS, np.arange(N), given.fits
            ),
            BOTH.name,
            [],
        )
        is None
    )


def test_classes() -> None:
    y_true = RANDOM.integers(0, 2, N)
    right = np.eye(2)[y_true] * 0.8 + 0.1
    wrong = right.copy()
    wrong[:60] = wrong[:60, ::-1]
    fits = {
        candidate: {0: [Fit({"mood": p[FOLDS == fold]}) for fold in range(5)]}
        for candidate, p in ((TREES, wrong), (BOTH, right))
    }
    given = OutOfFoldPredictions({"mood": y_true}, {"mood": np.ones(N)}, FOLDS, np.arange(N), fits)
    task = Task("mood", "class", ["sad", "glad"])
    found = leaderboard(task, "mood", given, BOTH.name, [])
    assert found is not None and found.metrics == ["accuracy", "log_loss"]
    assert found.standings[0].values["accuracy"][0] == 1.0
    assert found.standings[1].values["accuracy"][0] == pytest.approx(0.8)
    assert found.standings[0].versus is not None
    assert found.standings[0].versus.gain == pytest.approx(1.0)


def test_there_and_back(tmp_path: Path) -> None:
    record = ComparisonRecord(folds=5, seeds=[0, 1], left_out=["concat on text: 3 of 5 fits"])
    (tmp_path / RECORD_FILE).write_text(record.to_json())
    assert ComparisonRecord.read(tmp_path) == record
    assert not record.complete and "bootstrap" in record.test


@pytest.mark.parametrize("text", [None, "{", '{"folds": 5}', '{"folds": 5, "seeds": [], "x": 1}'])
def test_damage_is_told(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / RECORD_FILE).write_text(text)
    with pytest.raises(RunError, match=r"comparison\.json: not the record of a comparison"):
        ComparisonRecord.read(tmp_path)
