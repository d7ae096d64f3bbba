"""Trackers: what reaches MLflow and TensorBoard of a training, and the model that MLflow keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import Command
from tiny import plain_rows

from multimodal.core.errors import ConfigError
from multimodal.integrations.tracking import MlflowTracker, TensorBoardTracker, Tracker, tracker
from multimodal.runs.run import load


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow with its files in a folder of the test's."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    yield mlflow
    mlflow.set_tracking_uri(before)


def fitted(each: Tracker) -> None:
    """Let a tracker see two epochs of one network, and one of another."""
    for network, epoch, loss in ((1, 0, 0.5), (1, 1, 0.25), (2, 0, 0.75)):
        each.network = network
        each.on_epoch_end(epoch, {"loss": loss, "val_loss": float("nan")})


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_mlflow_gets_curves_parameters_metrics_and_a_model(store: Any, plain_run: Path) -> None:
    each = MlflowTracker("prices", "mine")
    fitted(each)
    each.finish(plain_run)
    (run,) = store.search_runs(experiment_names=["prices"], output_format="list")
    assert run.info.run_name == "mine" and run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "2"
    assert run.data.metrics["price/test/rmse"] > 0 and run.data.metrics["data/train_rows"] == 60
    client = store.MlflowClient()
    curve = [
        (m.step, m.value) for m in client.get_metric_history(run.info.run_id, "network_1/loss")
    ]
    assert curve == [(1, 0.5), (2, 0.25)]
    assert run.data.metrics["network_2/loss"] == 0.75
    assert "network_1/val_loss" not in run.data.metrics
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "model_card.md", "training_log.csv"} <= names


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_the_flavour_predicts_rows_with_photos_as_bytes(
    store: Any, saved_run: Path, tmp_path: Path
) -> None:
    from multimodal.integrations.mlflow import save_model

    save_model(saved_run, tmp_path / "model")
    assert not list((tmp_path / "model").rglob("*.pkl"))  # from code: nothing is unpickled
    model = store.pyfunc.load_model(str(tmp_path / "model"))
    folder = saved_run.parent
    rows = pd.read_csv(folder / "few.csv").head(3)
    photos = [None if pd.isna(name) else (folder / name).read_bytes() for name in rows["photo"]]
    found = model.predict(rows.assign(photo=photos), params={"level": 0.8})
    expected = load(saved_run).predict(rows, images=folder, level=0.8).frame
    for name in ("price_prediction", "price_low", "price_high"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    assert "price_low" not in model.predict(rows, params={"images": str(folder)})


def test_tensorboard_can_read_what_is_written(tmp_path: Path, plain_run: Path) -> None:
    import tensorflow as tf

    each = TensorBoardTracker(tmp_path)
    fitted(each)
    each.finish(plain_run)
    events: dict[str, dict[tuple[str, int], Any]] = {}
    for path in sorted(tmp_path.glob("*/events*")):
        found = events.setdefault(path.parent.name, {})
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found |= {(v.tag, event.step): v for v in event.summary.value}
    assert events["network_1"][("loss", 2)].simple_value == 0.25
    assert events["network_2"][("loss", 1)].simple_value == 0.75
    assert events["price"][("test/rmse", 0)].simple_value > 0
    text = events["run"][("parameters/text_summary", 0)].tensor.string_val[0].decode()
    assert "| training.epochs | 2 |" in text


def test_a_tracker_that_is_none_is_told_before_the_training(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("train", "rows.csv", "--target", "price", "--tracker", "tensorbord")
    assert done.code == 2 and "no such tracker. Did you mean 'tensorboard'?" in done.err
    assert not (folder / "runs").exists()
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(ConfigError, match="mlflow is not installed"):
        tracker("mlflow", folder / "run")


@pytest.mark.large
def test_the_command_tracks_each_network(command: Command, folder: Path) -> None:
    plain_rows(60).to_csv("rows.csv", index=False)
    (folder / "two.yaml").write_text(
        "fusion: {name: concat, options: {hidden_dims: [8]}}\n"
        "training: {fold_models: 2, epochs: 2, baselines: false, explanations: false}\n"
    )
    words = ["--config", "two.yaml", "--out", "here/run", "--tracker", "tensorboard"]
    assert command("train", "rows.csv", "--target", "price", *words).code == 0
    names = {path.name for path in (folder / "here" / "tensorboard" / "run").iterdir()}
    assert {"network_1", "network_2", "price", "run"} <= names
