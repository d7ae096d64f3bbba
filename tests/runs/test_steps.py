"""The steps of a run: interruptions, failures, stages, rows and photos that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import pytest
from PIL import Image
from runs import Trained
from tiny import PHOTOS, plain_config, plain_rows, tiny_config, worded_rows

from multimodal.core.manifest import check_manifest
from multimodal.evaluation.records import ModelScore, RunMetrics
from multimodal.runs import steps, train
from multimodal.runs.run import load


class Stop(keras.callbacks.Callback):
    """Press Ctrl-C at the start of a batch of an epoch."""

    def __init__(self, epoch: int, batch: int = 1) -> None:
        super().__init__()
        self.when, self.batch, self.now, self.ended = epoch, batch, 0, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch + 1

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.now == self.when and batch == self.batch:
            raise KeyboardInterrupt

    def on_train_end(self, logs: Any = None) -> None:
        self.ended += 1


@pytest.mark.parametrize(("epoch", "finished"), [(1, 0), (2, 1)])
def test_ctrl_c_leaves_a_usable_run(
    epoch: int, finished: int, tmp_path: Path, said: list[str]
) -> None:
    stop = Stop(epoch)
    config = plain_config(epochs=5, batch_size=16, baselines=True)
    train.train(
        plain_rows(),
        "price",
        out=tmp_path / "run",
        config=config,
        callbacks=[stop],
    )
    record = RunMetrics.read(tmp_path / "run")
    assert record.training.interrupted
    assert (record.training.epochs, record.training.best_epoch) == (finished, finished)
    assert len(record.comparison["price"]) == 1
    assert stop.ended == 1
    assert "interrupted; the best weights so far are kept" in said
    assert (tmp_path / "run" / "report.html").is_file()
    assert load(tmp_path / "run").predict(plain_rows(3)).frame["price_prediction"].notna().all()


@pytest.mark.usefixtures("only_the_model")
def test_a_second_ctrl_c_does_not_cost_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = steps.save_parts, []

    def impatient(*parts: Any) -> None:
        calls.append(parts[-1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(*parts)

    monkeypatch.setattr(steps, "save_parts", impatient)
    config = plain_config(epochs=5)
    train.train(plain_rows(), "price", out=tmp_path / "run", config=config, callbacks=[Stop(1)])
    assert load(tmp_path / "run").predict(plain_rows(3)).counts["rows without a prediction"] == 0


def test_ctrl_c_during_the_baselines_keeps_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def interrupted(*arguments: Any) -> Any:
        yield ModelScore("Median", "constant", "nothing", {"rmse": 9.0, "mae": 5.0})
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "baseline_scores", interrupted)
    train.train(
        plain_rows(),
        "price",
        out=tmp_path / "run",
        config=plain_config(baselines=True),
    )
    scores = RunMetrics.read(tmp_path / "run").comparison["price"]
    assert [score.name for score in scores] == ["Model", "Median"]
    assert said[-2] == "interrupted; the remaining baselines are left out"
    assert (tmp_path / "run" / "report.html").is_file()


PAGES = {"report.html", "model_card.md", "plots", "explanations", "explanations.json"}
MEASURED = {"importance.json", "neighbours.npz", "neighbours.json"}


@pytest.mark.parametrize(
    ("left_out", "absent", "there"),
    [
        ("report", PAGES, {*MEASURED, "baseline_predictions.csv"}),
        pytest.param(
            "explanations",
            {*MEASURED, "explanations"},
            {"report.html", "baseline_predictions.csv"},
            marks=pytest.mark.large,
        ),
        ("baselines", {"baseline_predictions.csv"}, PAGES | MEASURED),
    ],
)
def test_each_part_beside_the_model_can_be_left_out(
    left_out: str, absent: set[str], there: set[str], tmp_path: Path
) -> None:
    config = plain_config(**{"epochs": 1, "baselines": True, left_out: False})
    run = train.train(worded_rows(), "mood", out=tmp_path / "run", config=config)
    found = {path.name for path in run.path.iterdir()}
    assert found & absent == set() and found >= there
    check_manifest(run.path, [name for name in there if (run.path / name).is_file()])
    record = RunMetrics.read(run.path)
    assert bool(record.withheld) == (left_out != "explanations")
    assert (len(record.comparison["mood"]) == 1) == (left_out == "baselines")


class Break(keras.callbacks.Callback):
    """Fail in the first epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        raise RuntimeError("broken")


def test_without_test_rows_all_rows_are_learned_from(tmp_path: Path) -> None:
    config = plain_config(baselines=True, fold_models=1).merge(data={"split": {"test": 0}})
    run = train.train(plain_rows(60), "price", out=tmp_path / "run", config=config)
    record = RunMetrics.read(tmp_path / "run")
    assert (record.data.train, record.data.validation, record.data.test) == (54, 6, 0)
    assert record.heads["price"].validation["rmse"] > 0 and record.heads["price"].metric
    assert not record.heads["price"].test and not record.comparison and not record.intervals
    assert steps.NO_TESTS in record.notes
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not names & {"report.html", "predictions.csv", "importance.json", "unfinished.json"}
    assert run.predict(plain_rows(3), level=0.8).frame["price_low"].notna().all()


def test_a_failed_fit_leaves_things_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    with pytest.raises(RuntimeError, match="broken"):
        train.train(plain_rows(), "price", out=out, config=plain_config(), callbacks=[Break()])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("only_the_model")
def test_rows_set_aside_are_counted_and_kept(tmp_path: Path, said: list[str]) -> None:
    rows = plain_rows(100)
    rows["price"] = rows["price"].astype(object)
    rows.loc[7, "price"], rows.loc[9, "price"] = None, "ask"
    train.train(rows, "price", out=tmp_path / "run", config=plain_config())
    kept = pd.read_csv(tmp_path / "run" / "quarantine.csv")
    assert kept["quarantine_line"].tolist() == [8, 10]
    assert kept["quarantine_reason"].tolist() == [
        "column 'price': the target is missing",
        "column 'price': expected a number, got 'ask'",
    ]
    record = RunMetrics.read(tmp_path / "run").data
    assert (record.read, record.kept, record.quarantined) == (100, 98, 2)
    assert said[1].startswith("100 rows read, 2 rejected; ")
    assert "which rows were rejected, and why: quarantine.csv in the run directory" in said


@pytest.mark.usefixtures("only_the_model")
def test_a_photo_that_proves_damaged_is_told(
    trained: Trained, tmp_path: Path, said: list[str]
) -> None:
    """Its header and end are whole, so that only decoding shows it."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = pd.read_csv(trained.folder / "catalogue.csv").head(40).drop(columns="split")
    for i, name in enumerate(rows["image"]):
        content = io.BytesIO()
        Image.open(trained.folder / name).save(content, "PNG")
        data = bytearray(content.getvalue())
        if i % 8 == 0:
            data[60:90] = bytes(30)
        (folder / f"{i}.png").write_bytes(data)
    rows["image"] = [f"{i}.png" for i in range(len(rows))]
    rows.to_csv(folder / "rows.csv", index=False)
    config = tiny_config(PHOTOS, data={"image_size": 16, "max_quarantine": 0.3}, epochs=1)
    run = train.train(folder / "rows.csv", "price", out=tmp_path / "run", config=config)
    data = RunMetrics.read(tmp_path / "run").data
    predicted = run.predict(folder / "rows.csv")
    if data.quarantined:  # screening found them
        assert data.quarantined == 5
    else:
        assert any("proved damaged" in warning for warning in data.warnings)
        frame = pd.read_csv(tmp_path / "run" / "predictions.csv")
        assert not set(frame["row"]) & set(range(0, 40, 8))
    assert predicted.frame["price_prediction"].isna().sum() == 5
    assert predicted.counts["rows without a prediction"] == 5
