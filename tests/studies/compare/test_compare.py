"""A whole comparison on tiny rows: one set of folds, honest errors, reproducible from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import shared
from tiny import plain_config, plain_rows, tiny_config

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError, RunError
from multimodal.data.prepare import Prepared
from multimodal.evaluation.metrics import regression_metrics
from multimodal.evaluation.records import ModelScore
from multimodal.studies.compare import candidates
from multimodal.studies.compare.compare import compare
from multimodal.studies.compare.results import ComparisonRecord
from multimodal.studies.fits import Fit, output_width, tasks

QUICK = plain_config(epochs=1, fold_models=1, linear=False)
LEARNING = QUICK.merge(training={"epochs": 10, "learning_rate": 0.02, "batch_size": 16})


def rows(count: int = 60) -> pd.DataFrame:
    return plain_rows(count).drop(columns=["cost", "weight"])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ComparisonRecord]:
    def make(out: Path) -> None:
        compare(rows(), "price", out=out, config=LEARNING, folds=2, seeds=2, command="this")

    out = shared(tmp_path_factory, "comparison", make)
    return out, ComparisonRecord.read(out)


def test_the_table_follows_from_the_predictions(compared: tuple[Path, ComparisonRecord]) -> None:
    out, record = compared
    predictions = pd.read_csv(out / "out_of_fold.csv")
    for each in record.heads[0].standings:
        found = [
            regression_metrics(one["price_true"], one["price_prediction"])["rmse"]
            for _, one in predictions[predictions["model"] == each.name].groupby("seed")
        ]
        assert len(found) == 2
        assert each.values["rmse"][0] == pytest.approx(np.mean(found))


def test_every_row_is_tested_once_in_the_same_fold(compared: tuple[Path, ComparisonRecord]) -> None:
    predictions = pd.read_csv(compared[0] / "out_of_fold.csv")
    assert (predictions.groupby("row")["fold"].nunique() == 1).all()
    sizes = predictions.groupby(["model", "seed"])["row"].agg(["size", "nunique"])
    assert (sizes == 60).all().all()


def test_models_learn_more_than_the_median(compared: tuple[Path, ComparisonRecord]) -> None:
    (head,) = compared[1].heads
    names = [each.name for each in head.standings]
    assert names[-1] == "constant"
    assert {"trees-table", "sequential-tabular", "fusion-concat-tabular"} < set(names)
    assert compared[1].verdicts["price"].startswith("For price, concat on table is")
    assert compared[1].command == "this"


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[Prepared]:
    """Replace the fits of networks by a constant; list the rows that they are given."""
    given: list[Prepared] = []

    def outputs(prepared: Prepared) -> dict[str, np.ndarray]:
        given.append(prepared)
        rows = len(prepared.rows("test"))
        return {task.name: np.full((rows, output_width(task)), 0.5) for task in tasks(prepared)}

    def sequential_score(prepared: Prepared, modality: str, head: Any, *args: Any) -> ModelScore:
        score = ModelScore("", "sequential", "", {})
        args[-1](score, prepared.rows("test"), outputs(prepared)[head.name])
        return score

    monkeypatch.setattr(candidates, "fit_rows", lambda prepared: Fit(outputs(prepared)))
    monkeypatch.setattr(candidates, "sequential_score", sequential_score)
    return given


def test_a_given_column_of_folds_is_used_and_never_read(
    networks: list[Prepared], tmp_path: Path
) -> None:
    table = rows(60)
    table["part"] = [f"f{i % 2}" for i in range(60)]
    compare(table, "price", out=tmp_path / "a", config=QUICK, folds_column="part", seeds=1)
    found = pd.read_csv(tmp_path / "a" / "out_of_fold.csv")
    assert (found["fold"] == found["row"] % 2).all()
    shuffled = table.assign(part=np.where(table["part"] == "f0", "x", "y"))
    compare(shuffled, "price", out=tmp_path / "b", config=QUICK, folds_column="part", seeds=1)
    other = pd.read_csv(tmp_path / "b" / "out_of_fold.csv")
    pd.testing.assert_frame_equal(found, other)
    half = len(networks) // 2
    for one, two in zip(networks[:half], networks[half:], strict=True):
        assert one.spec == two.spec
        assert all("part" not in group.columns for group in one.spec.groups)
        for key, values in one.source.inputs.items():
            np.testing.assert_array_equal(values, two.source.inputs[key])


def test_duplicates_share_a_fold_and_given_folds_that_part_them_are_told(
    tmp_path: Path, said: list[str]
) -> None:
    table = rows(40)
    table["note"] = [f"a note about thing number {i} and {i * 7}" for i in range(40)]
    table = pd.concat([table, table.iloc[:10]], ignore_index=True)
    config = plain_config(epochs=1)
    compare(table, "price", out=tmp_path / "a", config=config, folds=2, seeds=1, minutes=0.0)
    table["part"] = [0] * 40 + [1] * 10
    compare(
        table,
        "price",
        out=tmp_path / "b",
        config=config,
        folds_column="part",
        seeds=1,
        minutes=0.0,
    )
    assert any(
        "20 rows have a duplicate, or another row of their group, in another fold" in line
        for line in said
    )


def test_several_heads_weights_and_missing_labels(networks: list[Prepared], tmp_path: Path) -> None:
    table = plain_rows(90)
    table["mood"] = np.where(table["price"] > table["price"].median(), "glad", "sad")
    table.loc[::5, "mood"] = None
    table["weight"] = np.arange(90) % 3
    config = QUICK.merge(
        heads=[
            {"name": "price", "column": "price", "head": "quantile"},
            {"name": "mood", "column": "mood", "head": "binary", "partial": True},
        ]
    )
    record = compare(
        table,
        ["price", "mood"],
        out=tmp_path / "a",
        config=config,
        folds=3,
        seeds=1,
        weight="weight",
    )
    price, mood = record.heads
    assert (price.metrics, mood.metrics) == (["pinball", "mae"], ["accuracy", "log_loss"])
    assert price.rows == 60
    assert mood.rows == int(((table["weight"] > 0) & table["mood"].notna()).sum())
    assert len(price.standings) == len(mood.standings) == 4
    assert {each.label for each in price.standings} >= {"Quantiles"}
    assert {each.label for each in mood.standings} >= {"Class shares"}
    assert (tmp_path / "a" / "comparison_mood.png").exists()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"folds": 1}, ConfigError, "expected 2 to 100 folds"),
        ({"seeds": 0}, ConfigError, "1 to 100 seeds"),
        ({"targets": ()}, ConfigError, "no target is named"),
        ({"fusions": ["conct"]}, ConfigError, "Did you mean 'concat'"),
        ({"folds_column": "pat"}, DataError, "column 'pat' is not in the table"),
        ({"folds": 65}, DataError, "cannot deal 60 rows to 65 folds"),
        (
            {"config": Config().merge(data={"split": {"method": "time", "column": "size"}})},
            ConfigError,
            "by time, which gives one test split, not folds",
        ),
        (
            {
                "folds_column": "shop",
                "config": Config().merge(
                    groups=[
                        {
                            "name": "t",
                            "modality": "tabular",
                            "columns": ["shop"],
                            "encoder": "dense",
                        }
                    ]
                ),
            },
            ConfigError,
            "'shop' holds the folds, so no group or head may have it",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(
    options: dict[str, Any], error: type[Exception], told: str, tmp_path: Path
) -> None:
    given = {"targets": "price", "config": QUICK, "minutes": 0.0, **options}
    with pytest.raises(error, match=told):
        compare(rows(), out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_another_config_is_refused_and_more_fusions_are_not(
    compared: tuple[Path, ComparisonRecord],
) -> None:
    out, _ = compared
    with pytest.raises(RunError, match=r"config\.training\.epochs was 10, is 1"):
        compare(rows(), "price", out=out, config=QUICK, folds=2, seeds=2)
    with pytest.raises(RunError, match="folds was 2, is 4"):
        compare(rows(), "price", out=out, config=LEARNING, folds=4, seeds=2)
    with pytest.raises(RunError, match="the cells of column .price. are other ones"):
        compare(rows().iloc[::-1], "price", out=out, config=LEARNING, folds=2, seeds=2)


@pytest.mark.large
def test_what_photos_and_texts_add(catalogue_folder: Path, tmp_path: Path) -> None:
    config = tiny_config(data={"image_size": 16, "columns": {"split": "ignored"}}, epochs=2)
    record = compare(
        catalogue_folder / "catalogue.csv",
        "price",
        out=tmp_path / "a",
        config=config,
        folds=2,
        seeds=1,
        fusions=["concat", "gated"],
    )
    (head,) = record.heads
    assert {each.adds for each in head.additions} == {"table", "text", "photos", "TF-IDF"}
    assert "over the table alone, " in record.verdicts["price"]
    assert "gated on table + text + photos" in [each.label for each in head.standings]
    assert record.complete
