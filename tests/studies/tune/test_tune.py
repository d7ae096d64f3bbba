"""A search: never worse than the start on validation, test rows looked at once, gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, RunError
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.records import RunMetrics
from multimodal.evaluation.task import measure
from multimodal.runs.train import train
from multimodal.studies.fits import Fit, tasks
from multimodal.studies.tune import tune as search
from multimodal.studies.tune.trials import TrialEnded
from multimodal.studies.tune.tune import (
    SPLITS,
    Search,
    constant_errors,
    split_error,
    tune,
    tuned_head,
    tuned_metric,
)

pytest.importorskip("optuna")


def test_the_best_config_trains_to_what_was_measured(tmp_path: Path) -> None:
    rows = plain_rows(120).drop(columns="weight")
    rows["mood"] = np.where(rows["cost"] > rows["cost"].median(), "glad", "sad")
    targets, config = ["price", "mood"], plain_config(epochs=2)
    table, out = rows.drop(columns="cost"), tmp_path / "tuned"
    record = tune(table, targets, out=out, config=config, minutes=0)
    assert [head.metric for head in record.heads] == ["rmse", "log_loss"]
    best = Config.from_yaml(tmp_path / "tuned" / "best.yaml")
    single = best.merge(training={"fold_models": 1, "linear": False})
    train(table, targets, out=tmp_path / "run", config=single)
    found = RunMetrics.read(tmp_path / "run")
    price, mood = record.heads
    for split in ("validation", "test"):
        measured = getattr(found.heads["price"], split)["rmse"]
        assert measured == pytest.approx(price.values[split][1], rel=1e-3)
    before = found.confidence["mood"].log_loss_before  # a run tempers its probabilities
    assert before == pytest.approx(mood.values["test"][1], rel=1e-3)


def test_what_cannot_be_searched_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no target is named"):
        tune(plain_rows(60), out=tmp_path / "out", config=Config())
    with pytest.raises(ConfigError, match="`data.split.test` is 0"):
        tune(plain_rows(60), "price", out=tmp_path / "out", config={"data": {"split": {"test": 0}}})
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RunError, match="already there"):
        tune(plain_rows(60), "price", out=tmp_path, config=plain_config(epochs=1), minutes=0)


Make = Callable[..., Search]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A search whose fits are made up, with time for a number of trials."""
    prepared = prepare(plain_rows(80).drop(columns="cost"), ["price"], plain_config())
    return lambda: Search(tmp_path, prepared, time.monotonic() + 600, "")


def test_a_single_network_leaves_the_validation_rows_alone() -> None:
    config = plain_config().merge(training={"fold_models": 2, "linear": True})
    prepared = prepare(plain_rows(80).drop(columns="cost"), ["price"], config)
    single = search.single_network(prepared, prepared.config)
    learned, held = single.fold_rows(0)
    assert prepared.k_fold and not single.k_fold
    assert set(learned) == set(single.rows("train")) and set(held) == set(single.rows("validation"))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace fitting: the error grows with the distance of the rate from 0.004."""
    calls: list[Any] = []

    def fit_rows(prepared: Any, splits: Any, *, callbacks: Any) -> Fit:
        calls.append(prepared.config)
        size = abs(np.log(prepared.config.training.learning_rate / 0.004))
        rows = np.concatenate([prepared.rows(split) for split in splits])
        noise = np.random.default_rng(0).normal(0, 0.1 + 0.3 * size, len(rows))
        callbacks[0].by_epoch.append(1.0)
        return Fit({"price": (prepared.labels["price"][rows] * np.exp(noise))[:, None]}, 5, 0.1)

    monkeypatch.setattr(search, "fit_rows", fit_rows)
    return calls


def stopped(made: Search, fitted: list[Any], count: int) -> Search:
    """Let a search end after `count` fits."""
    inner = made._try

    def once(study: Any) -> bool:
        return inner(study) and len(fitted) < count

    made._try = once  # type: ignore[method-assign]
    return made


def test_the_best_is_never_worse_than_the_start(
    make: Make, fitted: list[Any], tmp_path: Path
) -> None:
    record = stopped(make(), fitted, 14).run()
    start, best = record.trials[record.start], record.trials[record.best]
    assert len(record.trials) == 14 and record.start == 0
    assert best.value is not None and start.value is not None and best.value <= start.value
    assert best.value == min(t.value for t in record.trials if t.value is not None)
    (head,) = record.heads
    assert head.metric == "rmse"
    assert head.values["validation"][0] == pytest.approx(start.metrics["price_rmse"])
    assert head.differences["test"].low <= head.differences["test"].high
    found = Config.from_yaml(tmp_path / "best.yaml")
    assert found.training.linear  # trials do without, and with a single network
    assert found.merge(training={"linear": False}) == fitted[record.best]
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 14
    assert {"tuning.json", "best.yaml", "manifest.json"} <= {p.name for p in tmp_path.iterdir()}
    assert record.verdict.startswith("14 trials")


def test_it_goes_on(make: Make, fitted: list[Any], said: list[str]) -> None:
    stopped(make(), fitted, 3).run()
    said.clear()
    record = stopped(make(), fitted, 5).run()
    assert said[0] == "going on: 3 trials are there"
    assert [trial.number for trial in record.trials] == [0, 1, 2, 3, 4]
    assert [trial.values for trial in record.trials].count(record.trials[0].values) == 1


def test_only_the_start_with_no_time(make: Make, fitted: list[Any]) -> None:
    made = make()
    made.deadline = time.monotonic() - 1
    record = made.run()
    assert len(record.trials) == 1 and record.best == record.start == 0
    assert record.verdict == "1 trial: nothing was better than the config it started with."
    assert record.heads[0].differences["test"].gain == 0


def test_trials_that_end_early_or_fail(
    make: Make, fitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = search.fit_rows

    def odd(*args: Any, **rest: Any) -> Fit:
        fit = inner(*args, **rest)
        if len(fitted) == 2:
            raise TrialEnded(pruned=True)
        if len(fitted) == 3:
            raise ConfigError("too wide")
        if len(fitted) == 6:
            raise TrialEnded(pruned=False)
        return fit

    monkeypatch.setattr(search, "fit_rows", odd)
    record = make().run()
    assert [trial.state for trial in record.trials] == [
        "complete",
        "pruned",
        "failed",
        "complete",
        "complete",
    ]
    assert record.trials[2].reason == "too wide"
    assert record.verdict.startswith("5 trials (1 ended early, 1 failed)")


def test_a_start_that_fails_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **rest: Any) -> Fit:
        raise ConfigError("too wide")

    monkeypatch.setattr(search, "fit_rows", fails)
    with pytest.raises(ConfigError, match="too wide"):
        make().run()


def test_ctrl_c_sums_up_what_is_there(
    make: Make, fitted: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inner = search.fit_rows

    def ends(*args: Any, **rest: Any) -> Fit:
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return inner(*args, **rest)

    monkeypatch.setattr(search, "fit_rows", ends)
    with pytest.raises(KeyboardInterrupt):
        make().run()
    assert (tmp_path / "best.yaml").exists()
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    rows = plain_rows(120)
    rows["mood"] = np.where(rows["cost"] > rows["cost"].median(), "glad", "sad")
    rows["weight"] = 1.0 + np.arange(120) % 2
    rows = rows.drop(columns="cost")
    return prepare(rows, ["price", "mood"], plain_config(), weight="weight")


def answers(prepared: Prepared, off: float) -> dict[str, np.ndarray]:
    """Answers of both sides: prices too high by a share, moods as sure as right."""
    rows = np.concatenate([prepared.rows(split) for split in SPLITS])
    price = prepared.labels["price"][rows] * (1 + off)
    right = np.eye(2)[prepared.labels["mood"][rows]]
    return {"price": price[:, None], "mood": np.abs(right - off)}


def test_errors_are_those_of_the_side(prepared: Prepared) -> None:
    found, (price, mood) = answers(prepared, 0.1), tasks(prepared)
    assert (tuned_metric(prepared, price), tuned_metric(prepared, mood)) == (
        "rmse",
        "log_loss",
    )
    found["price"][: len(prepared.rows("validation"))] *= 2
    for split, off in (("validation", 1.2), ("test", 0.1)):
        rows = prepared.rows(split)
        squares, weight = prepared.labels["price"][rows] ** 2, prepared.source.weights["price"]
        expected = off * np.sqrt(np.average(squares, weights=weight[rows]))
        assert split_error(prepared, price, found, split) == pytest.approx(expected)
    assert split_error(prepared, mood, found, "test") == pytest.approx(-np.log(0.9))


def test_one_answer_is_the_yardstick(prepared: Prepared) -> None:
    price, _ = tasks(prepared)
    rows, train = prepared.rows("validation"), prepared.rows("train")
    y_true, weight = prepared.labels["price"], prepared.source.weights["price"]
    found = constant_errors(prepared)
    order = np.argsort(y_true[train])
    below = np.cumsum(weight[train][order]) / weight[train].sum()
    median = y_true[train][order][np.searchsorted(below, 0.5)]
    guess = np.full((len(rows), 1), median)
    expected = measure(price, y_true[rows], guess, weight[rows])["rmse"]
    assert found["price"] == pytest.approx(expected, rel=0.02)
    assert found["mood"] > 0.5


def test_two_configs_side_by_side(prepared: Prepared) -> None:
    price, mood = tasks(prepared)
    head = tuned_head(prepared, price, answers(prepared, 0.2), answers(prepared, 0.1))
    share = 1 - 0.1 / 0.2  # of an error that is a share of each price
    assert head.differences["test"].gain == pytest.approx(share)
    assert head.values["test"][2] == len(prepared.rows("test"))
    worse = tuned_head(prepared, mood, answers(prepared, 0.1), answers(prepared, 0.2))
    assert worse.differences["validation"].high < 0
