"""The fits of a comparison: kept, gone on with, left out when one model fails or time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.errors import ConfigError, RunError
from multimodal.core.manifest import check_manifest
from multimodal.data.prepare import prepare
from multimodal.data.split.folds import deal_folds
from multimodal.studies.compare import experiment
from multimodal.studies.compare.candidates import Job, chosen_fusions, jobs
from multimodal.studies.compare.experiment import Experiment
from multimodal.studies.compare.results import RECORD_FILE
from multimodal.studies.fits import Fit

Make = Callable[..., Experiment]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A contest of four models on three folds, whose fits are made up."""
    prepared = prepare(plain_rows(60).drop(columns="cost"), ["price"], plain_config())
    groups = np.arange(60)
    folds = deal_folds(3, groups, [prepared.labels["price"]], seed=0)
    found = jobs(prepared, chosen_fusions(prepared.config, []))
    whole = Experiment(tmp_path, prepared, folds, groups, found, [0], time.monotonic() + 600, "")
    return lambda **changes: replace(whole, done={}, failed={}, splits={}, **changes)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Replace fitting by the truth with noise; list what was fitted."""
    calls: list[tuple[str, int]] = []

    def fit_job(job: Job, prepared: Any, seed: int) -> dict[str, Fit]:
        calls.append((job.name, seed))
        rows = prepared.rows("test")
        guess = prepared.labels["price"][rows] + len(calls)
        name = "trees-table" if job.kind == "trees" else job.name
        return {name: Fit({"price": guess[:, None]}, seconds=0.1)}

    monkeypatch.setattr(experiment, "fit_job", fit_job)
    return calls


def test_all_is_fitted_once_and_summed_up(make: Make, fitted: Any, tmp_path: Path) -> None:
    record = make().run()
    assert len(fitted) == 4 * 3
    assert record.complete and len(record.heads[0].standings) == 4
    assert record.heads[0].full == "fusion-concat-tabular"
    for name in (
        "comparison.json",
        "comparison.csv",
        "out_of_fold.csv",
        "comparison_price.png",
        "fits/trees/fold-2-seed-0.npz",
    ):
        assert (tmp_path / name).exists(), name
        check_manifest(tmp_path, [name])
    again = make().run()
    assert len(fitted) == 4 * 3 and again == record


def test_more_seeds_are_added(make: Make, fitted: Any) -> None:
    make().run()
    record = make(seeds=[0, 1]).run()
    assert [seed for _, seed in fitted].count(1) == 4 * 3 == len(fitted) - 4 * 3
    assert record.heads[0].standings[0].seeds == [0, 1]


def test_ctrl_c_leaves_what_is_finished(
    make: Make, fitted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    inner = experiment.fit_job

    def ends(job: Job, *args: Any) -> Any:
        if len(fitted) == 5:
            raise KeyboardInterrupt
        return inner(job, *args)

    monkeypatch.setattr(experiment, "fit_job", ends)
    with pytest.raises(KeyboardInterrupt):
        make().run()
    assert (tmp_path / RECORD_FILE).exists() and "goes on" in said[-1]
    monkeypatch.setattr(experiment, "fit_job", inner)
    said.clear()
    record = make().run()
    assert said[0] == "going on: 5 of 12 fits are there"
    assert len(fitted) == 12 and record.complete


def test_when_the_time_is_over_the_rest_is_left_out(make: Make, fitted: Any) -> None:
    record = make(deadline=time.monotonic() - 1).run()
    assert not fitted and not record.heads
    assert record.left_out[0] == "constant prediction: 3 of 3 fits"
    assert not record.complete
    assert make().run().complete


def test_a_model_that_fails_leaves_the_others(
    make: Make, fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, tried = experiment.fit_job, []

    def fails(job: Job, *args: Any) -> Any:
        if job.kind == "sequential":
            tried.append(job)
            raise ConfigError("too wide")
        return inner(job, *args)

    monkeypatch.setattr(experiment, "fit_job", fails)
    record = make().run()
    assert len(tried) == 1
    assert record.left_out == ["Sequential MLP on table: 3 of 3 fits (too wide)"]
    assert len(record.heads[0].standings) == 3


def test_a_model_without_all_folds_is_not_in_the_table(make: Make, fitted: Any) -> None:
    make().run()
    (make().out / "fits" / "trees" / "fold-1-seed-0.npz").unlink()
    record = make(deadline=time.monotonic() - 1).run()
    assert record.left_out == ["gradient boosting: 1 of 3 fits"]
    assert "trees-table" not in [each.name for each in record.heads[0].standings]


def test_a_damaged_fit_is_named(make: Make, fitted: Any) -> None:
    make().run()
    path = make().out / "fits" / "trees" / "fold-1-seed-0.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match=r"fold-1-seed-0\.npz: damaged"):
        make().run()


def test_folds_share_nothing_and_are_split_once(make: Make, fitted: Any) -> None:
    whole = make()
    whole.run()
    for fold, split in whole.splits.items():
        assert split.rows("test").tolist() == np.flatnonzero(whole.folds == fold).tolist()
        assert len(split.rows("validation")) == pytest.approx(6, abs=1)
