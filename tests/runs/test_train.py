"""A whole run: what it leaves behind, its determinism, its interruptions, its refusals."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import Trained
from tiny import digests, plain_config, plain_rows, tiny_config

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError, MultimodalError, RunError
from multimodal.evaluation.metrics import regression_metrics
from multimodal.evaluation.records import RunMetrics
from multimodal.models.build import fold_models
from multimodal.runs import train as workflow
from multimodal.runs.run import load
from multimodal.runs.steps import RunTraining

FILES = (
    "config.json",
    "schema.json",
    "spec.json",
    "model.keras",
    "metrics.json",
    "predictions.csv",
    "training_log.csv",
    "report.html",
    "plots",
    "audit.json",
    "manifest.json",
    "model_card.md",
    "baseline_predictions.csv",
    "importance.json",
    "neighbours.npz",
    "neighbours.json",
    "calibration.json",
    "explanations",
    "explanations.json",
)


def test_the_directory_holds_everything_and_nothing_half_written(trained: Trained) -> None:
    assert sorted(path.name for path in trained.run.iterdir()) == sorted(FILES)
    assert len(list((trained.run / "plots").glob("*.png"))) == 7
    assert "<html" in (trained.run / "report.html").read_text()


def test_no_pickle_lies_in_it(trained: Trained) -> None:
    with zipfile.ZipFile(trained.run / "model.keras") as archive:
        assert set(archive.namelist()) == {"metadata.json", "config.json", "model.weights.h5"}
    for path in trained.run.rglob("*"):
        assert path.suffix not in (".pkl", ".pickle", ".joblib")
        assert path.is_dir() or not path.read_bytes().startswith(b"\x80\x04")


def test_config_round_trips(trained: Trained) -> None:
    text = (trained.run / "config.json").read_text()
    config = Config.from_json(text)
    assert config.to_json() == text
    assert config.groups == tiny_config().groups
    assert [head.columns for head in config.heads] == [["price"]]


def test_metrics_are_complete(trained: Trained) -> None:
    record = RunMetrics.read(trained.run)
    assert (record.data.read, record.data.kept, record.data.quarantined) == (180, 180, 0)
    assert (record.data.train, record.data.validation, record.data.test) == (120, 30, 30)
    assert record.training.epochs == 2
    assert record.training.best_epoch in (1, 2)
    assert not record.training.interrupted
    assert record.training.seconds > 0
    assert record.training.parameters == load(trained.run).model.count_params()
    assert set(record.versions) >= {"python", "keras", "tensorflow", "backend", "multimodal"}
    assert record.command == "multimodal train catalogue.csv"
    head = record.heads["price"]
    assert head.column == "price"
    assert head.test["n"] == head.validation["n"] == 30
    assert set(head.test) == set(head.validation) >= {"rmse", "mae", "log_rmse", "mape"}


def test_the_comparison_has_all_models(trained: Trained) -> None:
    scores = RunMetrics.read(trained.run).comparison["price"]
    assert {(score.name, score.inputs) for score in scores} == {
        ("Fusion", "table + text + photos"),
        ("Median", "nothing"),
        ("Gradient boosting", "table"),
        ("Gradient boosting", "text"),
        ("Gradient boosting", "table + text"),
        ("Sequential MLP", "table"),
        ("Sequential RNN", "text"),
        ("Sequential CNN", "photos"),
        ("Same recipe", "table"),
        ("Same recipe", "text"),
        ("Same recipe", "photos"),
    }
    for score in scores:
        assert score.metrics["n"] == 30
        assert np.isfinite(score.metrics["log_rmse"])
        assert score.parameters > 0 or score.kind in ("constant", "trees")


def test_the_limit_is_the_noise_drawn_on_the_test_rows(trained: Trained) -> None:
    noise = pd.read_csv(trained.folder / "truth.csv")["noise"].to_numpy()[150:]
    limit = RunMetrics.read(trained.run).limit["price"]["log_rmse"]
    assert limit == pytest.approx(np.sqrt(np.mean(noise**2)))


def test_predictions_are_in_the_users_units(trained: Trained) -> None:
    frame = pd.read_csv(trained.run / "predictions.csv")
    raw = pd.read_csv(trained.folder / "catalogue.csv")
    assert list(frame) == ["row", "id", "price_true", "price_prediction"]
    assert frame["row"].tolist() == list(range(150, 180))
    assert frame["id"].tolist() == raw["id"].tolist()[150:]
    assert frame["price_true"].tolist() == raw["price"].tolist()[150:]
    assert frame["price_prediction"].between(5, 500).all()
    found = regression_metrics(frame["price_true"], frame["price_prediction"])
    assert found == pytest.approx(RunMetrics.read(trained.run).heads["price"].test)


def test_the_log_has_a_line_per_epoch(trained: Trained) -> None:
    log = pd.read_csv(trained.run / "training_log.csv")
    assert log["epoch"].tolist() == [1, 2]
    assert {"loss", "val_loss", "rmse", "val_rmse"} <= set(log)


def test_what_is_said(trained: Trained) -> None:
    assert trained.said[1] == (
        "180 rows read, 0 rejected; 120 to train, 30 to validate, 30 to test"
    )
    assert "baseline: CNN on photos" in trained.said
    assert not [line for line in trained.said if line.startswith("warning")]


def weights(run: Path) -> list[np.ndarray]:
    return load(run).model.get_weights()


@pytest.mark.usefixtures("only_the_model")
def test_the_same_seed_gives_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    workflow.train(
        trained.folder / "catalogue.csv", "price", out=tmp_path / "again", config=tiny_config()
    )
    for before, after in zip(weights(trained.run), weights(tmp_path / "again"), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.usefixtures("only_the_model")
def test_another_seed_gives_other_weights(plain_run: Path, tmp_path: Path) -> None:
    """The config may be a dict, and its training section overridden."""
    config = plain_config().model_dump()
    second = workflow.train(
        plain_rows(), "price", out=tmp_path / "run", config=config, seed=1, epochs=1
    )
    assert (second.config.training.seed, second.config.training.epochs) == (1, 1)
    first = load(plain_run)
    kernel = "table_encoder"
    one, two = (
        fold_models(run.model)[0].get_layer(kernel).get_weights()[1] for run in (first, second)
    )
    assert np.abs(one - two).max() > 0.01


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="already there and not empty"):
        workflow.train(plain_rows(), "price", out=tmp_path, config=plain_config())
    with pytest.raises(RunError, match="already there and not empty"):
        workflow.train(plain_rows(), "price", out=tmp_path / "notes.txt", config=plain_config())
    with pytest.raises(RunError, match="is a file, not a folder"):
        workflow.train(plain_rows(), "price", out=tmp_path / "notes.txt" / "run")
    assert digests(tmp_path) == {"notes.txt": digests(tmp_path)["notes.txt"]}
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *arguments: False)
    with pytest.raises(RunError, match="cannot be written. Name another --out"):
        workflow.train(plain_rows(), "price", out=tmp_path / "deep" / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"targets": "prise"}, "Did you mean 'price'"),
        ({"data": plain_rows(5)}, "cannot split 5 rows"),
        ({"data": []}, "no data rows"),
        ({"weight": "shop"}, "weight"),
        ({"noise": np.zeros(3)}, "one value per row: 3 for 80"),
        ({"base": "nowhere"}, "no such run directory"),
        ({"config": plain_config(freeze=["tabel"])}, "Did you mean 'table'"),
        ({"config": Config.parse({"fusion": "konkat"})}, "Did you mean 'concat'"),
    ],
)
def test_nothing_is_left_of_a_run_that_cannot_start(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    wanted = {"data": plain_rows(), "targets": "price", "config": plain_config(), **change}
    with pytest.raises(MultimodalError, match=reason):
        workflow.train(**wanted, out=tmp_path / "deep" / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("only_the_model")
def test_two_targets_and_a_weight(tmp_path: Path) -> None:
    rows = plain_rows(120)
    spoiled = rows.index % 4 == 0
    rows.loc[spoiled, "weight"] = 0.0
    rows["junk"] = rows["price"].where(~spoiled, rows["price"] + 60)
    run = workflow.train(
        rows,
        ["junk", "cost"],
        weight="weight",
        out=tmp_path / "run",
        config=plain_config(epochs=30, baselines=True, learning_rate=0.01, batch_size=16).merge(
            data={"columns": {"price": "ignored"}}
        ),
    )
    record = RunMetrics.read(tmp_path / "run")
    frame = pd.read_csv(tmp_path / "run" / "predictions.csv")
    heads = ["junk_true", "junk_prediction", "cost_true", "cost_prediction"]
    assert list(frame) == ["row", "weight", *heads]
    weights = rows["weight"].to_numpy()[frame["row"]]
    assert 0 < weights.sum() < len(frame) and (frame["weight"] == weights).all()
    for head in ("junk", "cost"):
        y_true, guess = frame[f"{head}_true"], frame[f"{head}_prediction"]
        assert record.heads[head].test == pytest.approx(regression_metrics(y_true, guess, weights))
        counted = {score.metrics["n"] for score in record.comparison[head]}
        assert counted == {weights.sum()}
        assert len(record.comparison[head]) == 4
    both = run.evaluate(rows)
    assert both["junk"]["n"] == (rows["weight"] > 0).sum()
    bias = (frame["junk_prediction"] - rows["price"].to_numpy()[frame["row"]]).mean()
    assert abs(bias) < 10  # a learner of the spoiled quarter would be off by 15


MANY = [
    {"name": "price", "column": "price", "partial": True, "head": "quantile"},
    {"name": "shop", "column": "shop", "partial": True, "head": "multiclass"},
    {"name": "grade", "column": "grade", "classes": ["low", "high"], "head": "ordinal"},
    {"name": "tags", "column": "tags", "head": "multilabel"},
]


def rows_of_many_labels() -> pd.DataFrame:
    """Return rows with a number, a class, a grade and labels, the first two partly missing."""
    rows = plain_rows(90).drop(columns=["cost", "weight"])
    rows["grade"] = np.where(rows["size"] > 5, "high", "low")
    rows["tags"] = np.where(rows["shop"] == "west", "far|dear", "[]")
    rows["size"] = rows["size"] + 0.01
    rows.loc[::3, "price"] = None
    rows.loc[1::3, "shop"] = None
    return rows


def test_heads_of_several_kinds_partly_labelled(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunTraining, "_explain", lambda *_: None)  # the tests of explain do
    rows = rows_of_many_labels()
    config = plain_config(epochs=2).merge(heads=MANY)
    run = workflow.train(rows, out=tmp_path / "run", config=config)
    record = RunMetrics.read(tmp_path / "run")
    frame = pd.read_csv(tmp_path / "run" / "predictions.csv", keep_default_na=False)
    kinds = {name: head.kind for name, head in record.heads.items()}
    assert kinds == {"price": "number", "shop": "class", "grade": "class", "tags": "labels"}
    assert record.heads["shop"].test["n"] == (frame["shop_true"] != "").sum()
    assert record.heads["price"].test["n"] == (frame["price_true"] != "").sum()
    assert {"price_q05", "shop_probability_west", "grade_prediction", "tags_true"} <= set(frame)
    assert set(frame["shop_prediction"]) <= {"north", "south", "west"}
    scores = run.evaluate(rows.drop(columns="price"))
    assert set(scores) == {"shop", "grade", "tags"} and scores["shop"]["n"] == 60
    assert "price: not scored; the rows lack price" in said
    assert len(run.predict(rows[["size"]]).frame) == 90
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(f"Results for {name}" in page for name in kinds)


def test_a_head_without_labels_on_a_side_is_refused(tmp_path: Path) -> None:
    rows = rows_of_many_labels()
    rows["split"] = ["train"] * 50 + ["validation"] * 20 + ["test"] * 20
    rows.loc[70:, "shop"] = None
    config = plain_config().merge(
        heads=MANY, data={"split": {"method": "column", "column": "split"}}
    )
    with pytest.raises(DataError, match="head 'shop'.* none of the 20 test rows has its label"):
        workflow.train(rows, out=tmp_path / "run", config=config)


def test_targets_or_heads_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no target is named and the config has no heads"):
        workflow.train(plain_rows(), out=tmp_path / "run")


def test_a_config_is_checked_before_the_rows(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'training'"):
        workflow.train("no.csv", "y", out=tmp_path / "run", config={"trainnig": {}})
    with pytest.raises(ConfigError, match="both a config"):
        workflow.train("no.csv", "y", out=tmp_path / "run", config={}, preset="fast")
    with pytest.raises(ConfigError, match="epochs"):
        workflow.train("no.csv", "y", out=tmp_path / "run", preset="fast", epochs=0)
    assert not said and not (tmp_path / "run").exists()


def test_vectors_are_looked_at_before_the_rows(tmp_path: Path, said: list[str]) -> None:
    words = {
        "name": "words",
        "modality": "text",
        "columns": ["t"],
        "encoder": "embedding_bag",
        "vectors": str(tmp_path / "none.txt"),
    }
    with pytest.raises(DataError, match=r"none\.txt: cannot be read"):
        workflow.train(
            "no.csv",
            "y",
            out=tmp_path / "run",
            config=Config.parse({"groups": [words]}),
        )
    assert not said


def test_a_run_on_another_backend(tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from multimodal.runs import train as workflow\n"
        "from tiny import plain_config, plain_rows\n"
        "rows = plain_rows(60).drop(columns=['cost', 'weight'])\n"
        "config = plain_config(epochs=1)\n"
        "run = workflow.train(rows, ['price', 'shop'], out=sys.argv[1], config=config)\n"
        "print(len(run.predict(rows).frame.dropna()))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run"), str(Path(__file__).parents[1])]
    env = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    assert done.stdout.split()[-1] == "60"
    assert RunMetrics.read(tmp_path / "run").versions["backend"] == "jax"


def test_rows_that_weigh_nothing_teach_the_weights_nothing(tmp_path: Path) -> None:
    rows = plain_rows(60)
    rows["weight"] = 0.0
    rows["split"] = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    rows.loc[:45, "weight"] = 1.0
    config = plain_config().merge(data={"split": {"method": "column", "column": "split"}})
    with pytest.raises(DataError, match="weight 'weight' is 0 in all 10 rows of the test split"):
        workflow.train(rows, "price", weight="weight", out=tmp_path / "run", config=config)


def test_a_fusion_of_another_kind_is_refused_when_starting_from_a_run(
    trained: Trained, tmp_path: Path
) -> None:
    fusion = {"name": "concat", "options": {"hidden_dims": [99]}}
    with pytest.raises(ConfigError, match="fusion 'concat' differs"):
        workflow.train(
            plain_rows(),
            "price",
            out=tmp_path / "run",
            base=trained.run,
            config=Config.parse({"fusion": fusion}),
        )


def test_metrics_are_plain_json(trained: Trained) -> None:
    values = json.loads((trained.run / "metrics.json").read_text())
    assert set(values) == set(RunMetrics.model_fields)
