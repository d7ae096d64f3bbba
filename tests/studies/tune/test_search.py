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
from multimodal.core.errors import ConfigError
from multimodal.data.prepare import prepare
from multimodal.studies.fits import Fit
from multimodal.studies.tune import tune
from multimodal.studies.tune.trials import TrialEnded
from multimodal.studies.tune.tune import Search

pytest.importorskip("optuna")
Make = Callable[..., Search]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A search whose fits are made up, with time for a number of trials."""
    prepared = prepare(plain_rows(80).drop(columns="cost"), ["price"], plain_config())
    return lambda: Search(tmp_path, prepared, time.monotonic() + 600, "")


def test_a_single_network_leaves_the_validation_rows_alone() -> None:
    config = plain_config().merge(training={"fold_models": 2, "linear": True})
    prepared = prepare(plain_rows(80).drop(columns="cost"), ["price"], config)
    single = tune.single_network(prepared, prepared.config)
    learned, held = single.fold_rows(0)
    assert prepared.parts and not single.parts
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

    monkeypatch.setattr(tune, "fit_rows", fit_rows)
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
    assert head.metric == "log_rmse"
    assert head.values["validation"][0] == pytest.approx(start.metrics["price_log_rmse"])
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
    inner = tune.fit_rows

    def odd(*args: Any, **rest: Any) -> Fit:
        fit = inner(*args, **rest)
        if len(fitted) == 2:
            raise TrialEnded(pruned=True)
        if len(fitted) == 3:
            raise ConfigError("too wide")
        if len(fitted) == 6:
            raise TrialEnded(pruned=False)
        return fit

    monkeypatch.setattr(tune, "fit_rows", odd)
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

    monkeypatch.setattr(tune, "fit_rows", fails)
    with pytest.raises(ConfigError, match="too wide"):
        make().run()


def test_ctrl_c_sums_up_what_is_there(
    make: Make, fitted: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inner = tune.fit_rows

    def ends(*args: Any, **rest: Any) -> Fit:
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return inner(*args, **rest)

    monkeypatch.setattr(tune, "fit_rows", ends)
    with pytest.raises(KeyboardInterrupt):
        make().run()
    assert (tmp_path / "best.yaml").exists()
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2
