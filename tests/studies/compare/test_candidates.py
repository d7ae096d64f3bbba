"""Which models a comparison has, and what each is fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, tiny_config

from multimodal.core.config import Component, Config
from multimodal.core.errors import ConfigError
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import measure
from multimodal.models.baselines import tree_scores
from multimodal.runs.comparison import sequential_score
from multimodal.studies.compare import candidates as candidates_module
from multimodal.studies.compare.candidates import (
    Job,
    additions,
    candidates,
    chosen_fusions,
    fit_job,
    inputs_of,
    jobs,
)
from multimodal.studies.fits import Fit, tasks


@pytest.fixture(scope="module")
def prepared(catalogue_folder: Path) -> Prepared:
    config = tiny_config(TABLE, WORDS, PHOTOS, epochs=1)
    return prepare(catalogue_folder / "catalogue.csv", ["price"], config)


FUSIONS = [Component(name="concat", options={"hidden_dims": [8]}), Component(name="gated")]


def test_every_subset_once_and_other_fusions_on_all(prepared: Prepared) -> None:
    found = jobs(prepared, FUSIONS)
    assert [job.name for job in found] == [
        "constant",
        "trees",
        "sequential-tabular",
        "sequential-text",
        "sequential-image",
        "fusion-concat-tabular-text-image",
        "fusion-concat-tabular",
        "fusion-concat-tabular-text",
        "fusion-concat-tabular-image",
        "fusion-concat-text",
        "fusion-concat-image",
        "fusion-concat-text-image",
        "fusion-gated-tabular-text-image",
    ]
    assert found[-1].label == "gated on table + text + photos"
    assert [candidate.inputs for candidate in candidates(found[1])] == [
        "table",
        "TF-IDF",
        "table + TF-IDF",
    ]


def test_additions_are_to_the_table_and_to_the_rest(prepared: Prepared) -> None:
    assert additions(jobs(prepared, FUSIONS)) == [
        ("fusion-concat-tabular-text", "fusion-concat-tabular"),
        ("fusion-concat-tabular-image", "fusion-concat-tabular"),
        ("fusion-concat-tabular-text-image", "fusion-concat-text-image"),
        ("fusion-concat-tabular-text-image", "fusion-concat-tabular-image"),
        ("fusion-concat-tabular-text-image", "fusion-concat-tabular-text"),
        ("trees-table-text", "trees-table"),
    ]


def test_fusions_keep_the_dropout_of_the_config() -> None:
    config = Config()
    own, other = chosen_fusions(config, ["concat", "gated", "concat"])
    assert own == config.fusion
    assert other == Component(name="gated", options={"modality_dropout": 0.05})
    own, other = chosen_fusions(Config(fusion=Component(name="gated")), ["gated", "concat"])
    assert other == Component(name="concat", options={"num_members": 8})
    with pytest.raises(ConfigError, match="unknown fusion 'gate'. Did you mean 'gated'"):
        chosen_fusions(config, ["gate"])


def test_what_is_read_in_words() -> None:
    assert inputs_of(("image", "text", "tabular")) == "table + text + photos"


def test_each_job_fits_its_modalities_with_its_seed_and_fusion(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[tuple[Any, ...]] = []

    def fit_rows(given: Prepared) -> Fit:
        modalities = tuple(group.modality for group in given.config.groups)
        fitted.append(("fusion", given.config.fusion, modalities, given.config.training.seed))
        return Fit({"price": np.ones((30, 1))}, parameters=9)

    def sequential_score(given: Prepared, modality: str, *args: Any) -> ModelScore:
        fitted.append(("sequential", None, (modality,), given.config.training.seed))
        score = ModelScore("", "sequential", "", {}, parameters=9)
        args[-1](score, given.rows("test")[::-1], np.arange(30.0)[:, None])
        return score

    monkeypatch.setattr(candidates_module, "fit_rows", fit_rows)
    monkeypatch.setattr(candidates_module, "sequential_score", sequential_score)
    for job in jobs(prepared, FUSIONS):
        fitted.clear()
        found = fit_job(job, prepared, seed=3)
        assert set(found) <= {candidate.name for candidate in candidates(job)}
        for fit in found.values():
            assert fit.outputs["price"].shape == (30, 1)
            assert np.isfinite(fit.outputs["price"]).all()
            assert (fit.parameters > 0) == (job.kind in ("sequential", "recipe", "fusion"))
        if job.kind == "sequential":  # in the order of the test rows, whatever theirs
            assert found[job.name].outputs["price"][:, 0].tolist() == list(range(29, -1, -1))
        assert (job.kind == "recipe") == (bool(job.fusion) and len(job.reads) == 1)
        kind = "fusion" if job.fusion else job.kind
        networks = kind in ("sequential", "fusion")
        assert fitted == ([(kind, job.fusion, job.reads, 3)] if networks else [])


def test_trees_learn_from_validation_rows_too_and_predict_in_order(prepared: Prepared) -> None:
    trees = Job("trees", "trees", "gradient boosting", ("tabular", "text", "image"))
    found = fit_job(trees, prepared, seed=5)["trees-table"].outputs["price"]
    (task,), test = tasks(prepared), prepared.rows("test")
    known = np.concatenate([prepared.rows("train"), prepared.rows("validation")])
    y_true, weight = prepared.labels["price"], prepared.source.weights["price"]
    expected, *_ = tree_scores(
        task,
        prepared.spec,
        prepared.source,
        prepared.table.frame,
        y_true,
        known,
        test,
        weight=weight,
        log=True,
        seed=5,
    )
    assert measure(task, y_true[test], found) == pytest.approx(expected.metrics)


def test_sequential_predictions_are_in_the_order_of_the_test_rows(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: list[ModelScore] = []

    def kept(*args: Any) -> ModelScore:
        scores.append(sequential_score(*args))
        return scores[-1]

    monkeypatch.setattr(candidates_module, "sequential_score", kept)
    job = Job("sequential-text", "sequential", "", ("text",))
    found = fit_job(job, prepared, seed=prepared.config.training.seed)["sequential-text"]
    (task,), test = tasks(prepared), prepared.rows("test")
    again = measure(task, prepared.labels["price"][test], found.outputs["price"])
    assert again["log_rmse"] == pytest.approx(scores[0].metrics["log_rmse"], rel=1e-3)
