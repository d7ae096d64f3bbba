"""Whole explanations of raw rows: complete, with remarks, for every kind of head, for ensembles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from explained import untrained_on
from runs import Trained
from tiny import TABLE, WORDS, tiny_config

from multimodal.core.config import Config
from multimodal.core.errors import DataError
from multimodal.evaluation.calibration import Calibration
from multimodal.explain.records import Explanation
from multimodal.explain.submodels import whole_inputs
from multimodal.layers.stacking import Blend
from multimodal.runs.run import Run, load

FUSION = {"name": "transformer", "options": {"hidden_dim": 8, "num_heads": 2, "num_layers": 1}}


def rows_of(folder: Path, count: int = 2) -> pd.DataFrame:
    return pd.read_csv(folder / "catalogue.csv").head(count).drop(columns="price")


def check(found: Explanation) -> None:
    """Check that everything adds up, within 1 % in the head's transformed space."""
    whole = found.score - found.start
    assert sum(group.score for group in found.groups) == pytest.approx(whole, abs=2e-4)
    assert found.words and found.columns and found.photos
    for words in found.words:
        assert words.end == pytest.approx(found.score, abs=2e-4)
        assert words.gap <= 0.01 * abs(words.end - words.start) + 1e-4
    total = sum(column.score for column in found.columns.columns)
    assert total == pytest.approx(found.columns.end - found.columns.start, abs=2e-4)
    assert found.columns.end == pytest.approx(found.score, abs=2e-4)


@pytest.mark.parametrize(("count", "linear"), [(1, False), (2, True)])
def test_a_row_is_explained_whole(catalogue_folder: Path, count: int, linear: bool) -> None:
    run = untrained_on(catalogue_folder, tiny_config(linear=linear), count)
    rows = rows_of(catalogue_folder)
    first, second = run.explain(rows, images=catalogue_folder)
    for each in (first, second):
        check(each)
    assert (first.row, second.row) == (0, 1) and first.identifier == rows["id"][0]
    guess = run.predict(rows, images=catalogue_folder).frame["price_prediction"]
    assert float(first.prediction.replace(",", "")) == pytest.approx(guess[0], rel=1e-3)
    assert not first.neighbours and not first.remarks


def test_fusions_of_tokens_are_explained_too(catalogue_folder: Path) -> None:
    config = tiny_config().model_copy(update={"fusion": Config.parse({"fusion": FUSION}).fusion})
    for each in untrained_on(catalogue_folder, config).explain(
        rows_of(catalogue_folder), images=catalogue_folder
    ):
        check(each)


HEADS: dict[str, tuple[str, dict[str, Any], str]] = {
    "number": ("price", {"name": "regression"}, "amount"),
    "binary": ("tier", {"name": "binary"}, "odds"),
    "multiclass": ("category", {"name": "multiclass"}, "odds"),
    "quantile": (
        "price",
        {"name": "quantile", "options": {"quantiles": [0.1, 0.5, 0.9]}},
        "amount",
    ),
    "ordinal": ("tier", {"name": "ordinal"}, "odds"),
    "labels": ("tags", {"name": "multilabel"}, "odds"),
}


BLENDED = ("number", "binary", "multiclass", "labels")
BAG = {"name": "embedding_bag", "options": {"embedding_dim": 4, "hidden_dims": [4]}}


def untrained_on_heads(folder: Path, kind: str, count: int = 1, linear: bool = True) -> Run:
    column, head, _ = HEADS[kind]
    rows = pd.read_csv(folder / "catalogue.csv")
    rows["tier"] = np.where(rows["year"] > 2016, "new", "old")
    rows["tags"] = [["red", "big"] if i % 2 else ["red"] if i % 3 else [] for i in rows.index]
    classes = {"tier": ["old", "new"]}.get(column, [])
    table = {**TABLE, "columns": ["brand", "weight_g", "year"]}
    config = tiny_config(table, {**WORDS, "encoder": BAG}, linear=linear).merge(
        heads=[{"name": column, "column": column, "head": head, "classes": classes}]
    )
    from explained import untrained

    from multimodal.data.prepare import prepare

    return untrained(prepare(rows, [], config, images=folder), count)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_of_head(catalogue_folder: Path, kind: str, linear: bool) -> None:
    run = untrained_on_heads(catalogue_folder, kind, 2, linear)
    head = run.tasks[0].name
    assert isinstance(run.model.get_layer(head), Blend) == (linear and kind in BLENDED)
    rows = rows_of(catalogue_folder, 1)
    rows["price"] = 1.0
    (found,) = run.explain(rows, images=catalogue_folder)
    assert found.target is not None and found.target.unit == HEADS[kind][2]
    inputs, _ = whole_inputs(run.preprocessor.arrays(rows, catalogue_folder))
    inputs = {key: array for key, array in inputs.items() if key in run.model.input}
    raw = run.model(inputs, training=False)
    score = float(np.asarray(raw[head])[0] @ np.array(found.target.direction))
    assert found.score == pytest.approx(score, abs=2e-4)
    whole = found.score - found.start
    assert abs(whole) > 5e-4, "nothing to explain"
    assert sum(group.score for group in found.groups) == pytest.approx(whole, abs=2e-4)
    assert found.prediction and found.baseline_prediction
    for part in (*found.words, found.columns):
        assert part is not None and part.end == pytest.approx(found.score, abs=2e-4)
    for words in found.words:
        assert words.gap <= 0.01 * abs(words.end - words.start) + 1e-4
    assert found.columns is not None
    total = sum(column.score for column in found.columns.columns)
    assert total == pytest.approx(found.columns.end - found.columns.start, abs=2e-4)


def test_what_is_withheld_is_what_a_row_without_it_gets(catalogue_folder: Path) -> None:
    """The start is the whole model's score of an empty row, terms and all."""
    run = untrained_on(catalogue_folder, tiny_config(), 2)
    (found,) = run.explain(rows_of(catalogue_folder, 1), images=catalogue_folder)
    bare = [dict.fromkeys([*TABLE["columns"], "description", "image", "id"])]
    (empty,) = run.explain(bare, images=catalogue_folder)
    assert empty.score == pytest.approx(found.start, abs=1e-4)
    assert found.baseline_prediction == empty.prediction and abs(found.score - found.start) > 0.01
    assert all(abs(group.score) < 1e-4 for group in empty.groups)


def test_odds_are_those_of_tempered_probabilities(catalogue_folder: Path) -> None:
    run = untrained_on_heads(catalogue_folder, "multiclass", 2)
    (plain,) = run.explain(rows_of(catalogue_folder, 1), images=catalogue_folder)
    sure = run.calibrated(Calibration(temperatures={"category": 2.0}))
    (found,) = sure.explain(rows_of(catalogue_folder, 1), images=catalogue_folder)
    assert found.target is not None and found.target.scale == 0.5
    assert found.score == pytest.approx(plain.score) and found.prediction != plain.prediction
    told = sure.predict(rows_of(catalogue_folder, 1), images=catalogue_folder).frame.iloc[0]
    assert found.prediction == f"{told['category_prediction']} ({told['category_probability']:.0%})"


def test_a_class_can_be_asked_for(catalogue_folder: Path) -> None:
    run = untrained_on_heads(catalogue_folder, "multiclass")
    rows = rows_of(catalogue_folder, 1)
    (found,) = run.explain(rows, images=catalogue_folder, label="vase")
    assert found.target is not None and found.target.name == "category: vase"
    with pytest.raises(DataError, match="knows no class 'vas'. Did you mean 'vase'"):
        run.explain(rows, images=catalogue_folder, label="vas")


def test_rows_that_lack_things_are_explained_and_say_so(
    catalogue_folder: Path, tmp_path: Path
) -> None:
    run = untrained_on(catalogue_folder, tiny_config())
    rows = rows_of(catalogue_folder, 5)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes((catalogue_folder / rows["image"][0]).read_bytes()[:300])
    (tmp_path / "whole.jpg").write_bytes((catalogue_folder / rows["image"][0]).read_bytes())
    rows["image"] = "whole.jpg"
    rows["year"] = rows["year"].astype(object)
    rows.loc[0, "image"] = "bad.jpg"
    rows.loc[1, ["description", "brand"]] = [None, "Unheard of"]
    rows.loc[2, TABLE["columns"]] = None
    rows.loc[3, "image"] = "gone.jpg"
    rows.loc[4, "year"] = "long ago"
    found = run.explain(rows, images=tmp_path)
    said = ["; ".join(each.remarks) for each in found]
    assert "bad.jpg" in said[0] and "counts as absent" in said[0]
    assert found[0].photos[0].fault and not found[0].groups[2].there
    assert not found[1].words and not found[1].groups[1].there
    assert "'brand': a category that the model does not know" in said[1]
    assert found[2].columns is None and not found[2].groups[0].there
    assert "gone.jpg: no such photo" in said[3] and not found[3].photos
    assert "'year': no number or date" in said[4]
    for each in found:
        assert sum(g.score for g in each.groups) == pytest.approx(each.score - each.start, abs=2e-4)


def test_only_the_first_rows_are_explained(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config(TABLE))
    rows = rows_of(catalogue_folder, 5)
    assert [each.row for each in run.explain(rows, limit=2)] == [0, 1]
    assert run.explain(rows.head(0)) == []


def test_more_than_ten_groups_are_explained_by_modality(catalogue_folder: Path) -> None:
    table = dict(TABLE)
    groups = [{**table, "name": f"t{i}", "columns": ["weight_g"]} for i in range(10)]
    run = untrained_on(catalogue_folder, tiny_config(*groups, WORDS))
    (found,) = run.explain(rows_of(catalogue_folder, 1))
    assert [(g.name, g.modality) for g in found.groups] == [
        ("tabular", "tabular"),
        ("text", "text"),
    ]
    assert sum(g.score for g in found.groups) == pytest.approx(found.score - found.start, abs=1e-3)


def test_unknown_heads_and_missing_columns_are_named(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config(TABLE))
    with pytest.raises(DataError, match="the model has no head 'prise'. Did you mean 'price'"):
        run.explain(rows_of(catalogue_folder), head="prise")
    with pytest.raises(DataError, match="columns missing: year"):
        run.explain(rows_of(catalogue_folder).drop(columns="year"))


def test_a_trained_run_shows_the_rows_it_learned_from(trained: Trained) -> None:
    run = load(trained.run)
    learned = pd.read_csv(trained.folder / "catalogue.csv").head(1)
    (found,) = run.explain(learned, images=trained.folder)
    assert len(found.neighbours) == 5
    nearest = found.neighbours[0]
    assert nearest.line == 2 and nearest.distance < 0.05
    assert nearest.photos == [learned["image"][0]]
    assert float(nearest.labels["price"].replace(",", "")) == pytest.approx(
        learned["price"][0], rel=1e-3
    )
    assert nearest.text.startswith(learned["description"][0][:40])
