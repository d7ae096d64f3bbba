"""Permutation importance: what a model reads matters, what it does not read does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from explained import submodels_on, untrained_on
from runs import Trained
from tiny import TABLE, WORDS, tiny_config

from multimodal.data.prepare import prepare
from multimodal.evaluation.records import Importance
from multimodal.explain.importance import Permutation, PermutedHead, importance
from multimodal.explain.linear import linear_submodel
from multimodal.explain.submodels import encode_rows
from multimodal.models.build import fold_models
from multimodal.runs.run import Run, load


def measured(run: Run, rows: pd.DataFrame, root: Path, y_true: Any, weight: Any = None) -> Any:
    weights = np.ones(len(rows)) if weight is None else weight
    return importance(run, rows, root, {"price": y_true}, {"price": weights}).heads["price"]


def silence(run: Run, rows: pd.DataFrame, groups: tuple[str, ...]) -> None:
    """Make the networks and the linear model deaf to groups."""
    for member in fold_models(run.model):
        for group in groups:
            layer = member.get_layer(f"{group}_encoder")
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    part = linear_submodel(run, "price")
    if part is None:
        return
    layer = run.model.get_layer("price")
    kernel = np.array(layer.kernel)
    for i in part.positions(groups):
        for frame in (part.matrices(rows), part.matrices(rows.head(1), groups)):
            kernel[1 + frame[i].indices] = 0.0
    layer.kernel.assign(kernel)


@pytest.mark.parametrize(("count", "linear"), [(1, False), (2, True)])
def test_what_is_not_read_does_not_matter(catalogue_folder: Path, count: int, linear: bool) -> None:
    """A model that knows the truth of its own making, from the table alone."""
    run = untrained_on(catalogue_folder, tiny_config(linear=linear), count)
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(60)
    silence(run, rows, ("words", "photos"))
    y_true = run.predict(rows, images=catalogue_folder).frame["price_prediction"].to_numpy(float)
    y_true = y_true * np.random.default_rng(0).uniform(0.98, 1.02, len(y_true))
    found = measured(run, rows, catalogue_folder, y_true)
    needs = {need.name: need for need in found.needs}
    assert list(needs) == ["table", "words", "photos", "weight_g", "year", "category", "brand"]
    assert needs["words"].change == pytest.approx(0, abs=1e-4)
    assert needs["photos"].change == pytest.approx(0, abs=1e-4)
    assert needs["table"].low > 0 and needs["table"].change > needs["year"].change
    for need in found.needs:
        assert need.low <= need.change + 1e-6 or need.low <= need.high
        assert need.error == pytest.approx(found.error + need.change)
    again = measured(run, rows, catalogue_folder, y_true)
    assert again == found


@pytest.mark.parametrize("group", ["words", "table"])
def test_what_only_the_linear_model_reads_matters(catalogue_folder: Path, group: str) -> None:
    """Its groups and columns are shuffled as if the rows had other cells."""
    run = untrained_on(catalogue_folder, tiny_config(TABLE, WORDS), 2)
    for layer in (
        m.get_layer(f"{g}_encoder") for m in fold_models(run.model) for g in ("table", "words")
    ):
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(60)
    y_true = run.predict(rows).frame["price_prediction"].to_numpy(float)
    needs = {n.name: n for n in measured(run, rows, catalogue_folder, y_true).needs}
    assert needs[group].change > 0.01


def test_rows_without_label_or_weight_do_not_count(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config(TABLE, WORDS))
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(40)
    y_true = rows["price"].to_numpy(float).copy()
    weight = np.ones(40)
    y_true[:5], weight[5:9] = np.nan, 0.0
    found = measured(run, rows, catalogue_folder, y_true, weight)
    assert (found.rows, found.metric) == (31, "log_rmse")
    kept = rows.iloc[9:].reset_index(drop=True)
    alone = measured(run, kept, catalogue_folder, y_true[9:])
    assert alone.error == pytest.approx(found.error, rel=1e-5)


def test_a_head_without_labels_is_left_out(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config(TABLE))
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(9)
    nothing = {"price": np.full(9, np.nan)}
    assert importance(run, rows, catalogue_folder, nothing, {"price": np.ones(9)}).heads == {}


def test_classes_are_measured_by_their_error(catalogue_folder: Path) -> None:
    from explained import untrained

    heads = [{"name": "kind", "column": "category", "head": "multiclass"}]
    table = {**TABLE, "columns": ["brand", "weight_g", "year"]}
    config = tiny_config(table, WORDS).merge(heads=heads)
    prepared = prepare(catalogue_folder / "catalogue.csv", [], config)
    run, rows = untrained(prepared), prepared.rows("test")
    frame = prepared.table.frame.iloc[rows]
    labels = {"kind": prepared.labels["kind"][rows]}
    weights = {"kind": np.ones(len(rows))}
    found = importance(run, frame, catalogue_folder, labels, weights).heads["kind"]
    assert found.metric == "accuracy" and 0 <= found.error <= 1


def test_training_leaves_it_and_the_run_measures_it_again(trained: Trained) -> None:
    stored = Importance.read(trained.run).heads["price"]
    assert stored.rows == 30 and {need.kind for need in stored.needs} == {"group", "column"}
    run = load(trained.run)
    again = run.importance(trained.test, images=trained.folder).heads["price"]
    assert again.error == pytest.approx(stored.error, rel=1e-4)
    assert "Permutation importance" in (trained.run / "report.html").read_text()


@pytest.mark.parametrize(("count", "linear"), [(1, False), (2, True)])
def test_permuted_rows_are_predicted_as_such_rows(
    catalogue_folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, linear: bool
) -> None:
    run, rows, whole, arrays = submodels_on(catalogue_folder, count, linear, 60)
    encoded, _ = encode_rows(whole.networks, arrays)
    terms = [] if whole.linear is None else whole.linear.matrices(rows)
    test = PermutedHead(run, run.tasks[0], whole, arrays, encoded, terms)
    order = np.random.default_rng(1).permutation(60)

    def wanted(columns: list[str]) -> np.ndarray:
        others = rows.assign(**{c: rows[c].to_numpy()[order] for c in columns})
        return run.predict(others).frame["price_prediction"].to_numpy(float)

    plain = test.plain[:, 0]
    np.testing.assert_allclose(plain, wanted([]), rtol=1e-4)
    for group, columns in {"words": ["description"], "table": TABLE["columns"]}.items():
        found = test.outputs([Permutation(order, group=group)])[0, :, 0]
        np.testing.assert_allclose(found, wanted(columns), rtol=1e-4)
        assert not np.allclose(found, plain, rtol=1e-3)
    # several at once, cut into pieces: each row has its own permutation
    monkeypatch.setattr(test, "_chunk", 150)
    columns = [Permutation(order, column=column) for column in TABLE["columns"]]
    whole_group, *found = test.outputs([Permutation(order, group="table"), *columns])
    np.testing.assert_allclose(whole_group[:, 0], wanted(TABLE["columns"]), rtol=1e-4)
    for column, outputs in zip(TABLE["columns"], found, strict=True):
        np.testing.assert_allclose(outputs[:, 0], wanted([column]), rtol=1e-4)
