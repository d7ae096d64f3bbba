"""Whole runs that know how sure they may be: numbers, classes, labels, weights, several models."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from runs import Answer, Trained, only_models
from tiny import PHOTOS, plain_config, plain_rows, tiny_config, worded_rows

from multimodal.core.errors import ConfigError, RunError
from multimodal.core.manifest import write_manifest
from multimodal.data.prepare import prepare
from multimodal.evaluation.calibration import CALIBRATION, Calibration, read_calibration
from multimodal.evaluation.records import RunMetrics
from multimodal.models.build import average
from multimodal.runs.calibrate import SplitPredictions, check_calibration, fit_calibration
from multimodal.runs.load import save_parts
from multimodal.runs.run import Run, load
from multimodal.runs.train import train


def rows(count: int = 400) -> pd.DataFrame:
    """Return rows with a number, a class, grades and labels, some of them missing."""
    found = plain_rows(count)
    random = np.random.default_rng(1)
    noisy = found["price"] + random.normal(0, 15, count)
    found["mood"] = np.where(noisy > 60, "glad", "sad")
    found["grade"] = pd.cut(noisy, [-999, 40, 70, 999], labels=["low", "mid", "high"]).astype(str)
    found["warm"], found["big"] = (noisy > 50).astype(int), (found["size"] > 5).astype(int)
    found.loc[::9, "mood"] = None
    return found


HEADS = [
    {"name": "price", "column": "price"},
    {"name": "range", "column": "cost", "head": {"name": "quantile"}},
    {"name": "mood", "column": "mood", "head": "binary", "partial": True},
    {"name": "grade", "column": "grade", "head": "ordinal", "classes": ["low", "mid", "high"]},
    {"name": "tags", "column": ["warm", "big"], "head": "multilabel"},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = plain_config(epochs=4, fold_models=1).merge(heads=HEADS)
    config = config.merge(data={"split": {"validation": 0.3, "test": 0.3}})
    out = tmp_path_factory.mktemp("runs") / "run"
    with only_models():
        return train(rows(), out=out, config=config, weight="weight")


def test_the_run_that_training_returns_is_the_one_on_disk(run: Run) -> None:
    assert run.calibration is not None
    again = load(run.path)
    assert again.calibration == run.calibration
    fresh = rows(20)
    for level in (None, 0.8):
        mine, other = (each.predict(fresh, level=level).frame for each in (run, again))
        pd.testing.assert_frame_equal(mine, other)


def test_metrics_say_how_sure_it_is(run: Run) -> None:
    record = RunMetrics.read(run.path)
    assert set(record.intervals) == {"price", "range"}
    assert set(record.confidence) == {"mood", "grade", "tags"}
    for each in record.intervals.values():
        assert each.n == 120 and len(each.parts) == 3 and 0.75 < each.coverage <= 1
        assert list(each.coverages) == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
        shares = list(each.coverages.values())
        assert shares == sorted(shares)
    for name, sure in record.confidence.items():
        assert sure.temperature == run.calibration.temperatures[name]  # type: ignore[union-attr]
        assert 0 <= sure.ece <= 1 and sum(b.n for b in sure.bins) >= sure.n
        test = record.heads[name].test
        if name != "tags":
            assert test["log_loss"] == pytest.approx(sure.log_loss, abs=1e-6)
    assert 0 <= record.unusual["any"] < 0.1


def test_predictions_have_intervals_at_any_level(run: Run) -> None:
    fresh = rows(60)
    narrow, wide = (run.predict(fresh, level=level).frame for level in (0.5, 0.95))
    plain = run.predict(fresh).frame
    assert not {"price_low", "price_high", "range_low", "range_high"} & set(plain)
    for name in ("price", "range"):
        order = [
            wide[f"{name}_low"],
            narrow[f"{name}_low"],
            narrow[f"{name}_prediction"],
            narrow[f"{name}_high"],
            wide[f"{name}_high"],
        ]
        assert all((a <= b).all() for a, b in zip(order, order[1:], strict=False))
    assert "mood_low" not in wide
    pd.testing.assert_frame_equal(wide[list(plain)], plain)
    assert list(plain)[-2:] == ["note", "unusual"]


def test_one_row_is_answered_like_many(run: Run) -> None:
    fresh = rows(3)
    row = fresh.iloc[1].to_dict()
    frame = run.predict(fresh, level=0.8).frame
    plain, sure = run.predict_row(row), run.predict_row(row, level=0.8)
    assert isinstance(plain["price"], float)
    assert sure["price"] == {
        end: pytest.approx(frame[f"price_{end}"][1], rel=1e-4)
        for end in ("prediction", "low", "high")
    }
    assert sure["range"].keys() - plain["range"].keys() == {"low", "high"}
    assert sure["mood"] == plain["mood"]
    known = frame["mood_probability"][1]
    assert plain["mood"]["probability"] == pytest.approx(known, rel=1e-4)


def test_probabilities_are_tempered_and_names_stay(run: Run) -> None:
    fresh, raw = rows(100), Run(run.config, run.schema, run.spec, run.model)
    warm = run.calibrated(Calibration(temperatures={"mood": 3.0, "grade": 0.5, "tags": 2.0}))
    before, after = raw.predict(fresh).frame, warm.predict(fresh).frame
    for name in ("mood", "grade", "tags"):
        assert (before[f"{name}_prediction"] == after[f"{name}_prediction"]).all()
    assert (after["mood_probability"] < before["mood_probability"]).all()
    np.testing.assert_allclose(before["price_prediction"], after["price_prediction"], rtol=1e-6)
    losses = (each.evaluate(fresh)["mood"]["log_loss"] for each in (raw, warm))
    assert len(set(losses)) == 2


def test_a_level_that_cannot_be_had(run: Run) -> None:
    with pytest.raises(RunError, match=r"take more than the 120 rows .* 0.991 at most"):
        run.predict(rows(2), level=0.999)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        run.predict_row(rows(1).iloc[0].to_dict(), level=90)


def older(run: Path, to: Path) -> Path:
    """Copy a run without its calibration, as one of an older version."""
    shutil.copytree(run, to)
    (to / CALIBRATION).unlink()
    write_manifest(to)
    return to


def test_a_run_without_calibration_still_predicts(run: Run, tmp_path: Path) -> None:
    old = load(older(run.path, tmp_path / "old"))
    assert old.calibration is None
    frame = old.predict(rows(5)).frame
    assert list(frame)[-1] == "note" and frame["price_prediction"].notna().all()
    for ask in (lambda: old.predict(rows(2), level=0.9), lambda: old.predict_row({}, level=0.9)):
        with pytest.raises(RunError, match="has no calibration.json, so it knows no intervals"):
            ask()


def test_a_calibration_that_is_changed_added_or_lost_is_refused(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    path = tmp_path / "run" / CALIBRATION
    text = path.read_text()
    path.write_text(text.replace('"mood":', '"mood" :'))
    with pytest.raises(RunError, match="calibration.json: changed"):
        load(tmp_path / "run")
    path.unlink()
    with pytest.raises(RunError, match="calibration.json: is missing"):
        load(tmp_path / "run")
    old = older(run.path, tmp_path / "old")
    (old / CALIBRATION).write_text(text)
    with pytest.raises(RunError, match="calibration.json: not in manifest.json"):
        load(old)


def test_a_new_model_takes_the_calibration_of_the_old_one_away(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    save_parts(tmp_path / "run", run.config, run.schema, run.spec, run.model)
    assert load(tmp_path / "run").calibration is None


def test_no_number_no_intervals(worded_run: Path) -> None:
    run = load(worded_run)
    assert run.calibration is not None and set(run.calibration.temperatures) == {"mood"}
    with pytest.raises(RunError, match="no head predicts a number"):
        run.predict(worded_rows(2), level=0.9)


def test_rows_that_cannot_be_read_and_unusual_ones(run: Run) -> None:
    fresh = rows(4).astype({"size": object})
    fresh.loc[1, "shop"], fresh.loc[2, "size"] = "moon", 9000
    found = run.predict(fresh, level=0.9)
    said = found.frame["unusual"].tolist()
    assert said[0] == said[3] == ""
    assert "shop: 'moon' is unknown" in said[1]
    assert "size: 9,000 is far outside the training rows" in said[2]
    assert found.counts["rows unlike the training rows"] == 2
    assert found.frame["price_low"].notna().all()
    assert run.predict(fresh.head(0), level=0.9).frame.empty


def test_the_command_gives_intervals_and_counts(
    trained: Trained, command: object, tmp_path: Path
) -> None:
    assert callable(command)
    lines = trained.test.read_text().splitlines()
    odd = lines[1].replace(lines[1].split(",")[2], "spaceship", 1)
    file = trained.folder / "odd.csv"
    file.write_text("\n".join([lines[0], odd, *lines[2:]]) + "\n")
    out = tmp_path / "p.csv"
    done: Answer = command("predict", trained.run, file, "--level", 0.9, "--out", out)
    assert done.code == 0, done.err
    frame = pd.read_csv(out, keep_default_na=False)
    assert (frame["price_low"] <= frame["price_prediction"]).all()
    assert (frame["price_prediction"] <= frame["price_high"]).all()
    assert "category: 'spaceship' is unknown" in frame["unusual"][0]
    assert "rows unlike the training rows: " in done.err
    done = command("predict", trained.run, file, "--level", 0.99)
    assert done.code == 2 and "0.967 at most" in done.err
    assert command("predict", trained.run, file, "--level", 90).code == 2


def test_several_models_as_one_are_calibrated_too() -> None:
    prepared = prepare(rows(), ["price"], plain_config(), label_kinds={"regression": "number"})
    from multimodal.models.build import build

    config, spec = prepared.config, prepared.spec
    keras.utils.set_random_seed(0)
    spec = spec.model_copy(update={"terms": None})
    both = average([build(config, spec) for _ in range(2)])
    run = Run(config, prepared.schema, spec, both)

    def predicted(split: str) -> SplitPredictions:
        places = prepared.rows(split)
        arrays = run.preprocessor.arrays(prepared.table.frame.iloc[places], Path())
        return SplitPredictions(places, run.decoded(arrays)[0], arrays.inputs, {})

    predictions = predicted("validation")
    run = run.calibrated(fit_calibration(run, prepared, predictions, predictions))
    found = check_calibration(run, prepared, predicted("validation"), predicted("test"))
    assert found["intervals"]["price"].coverage > 0.7
    assert run.calibration is not None and run.calibration.numbers["price"].rows == 40


@pytest.mark.usefixtures("only_the_model")
def test_too_few_rows_for_the_level_are_not_checked(tmp_path: Path) -> None:
    run = train(plain_rows(), "price", out=tmp_path / "run", config=plain_config(linear=False))
    assert run.calibration is not None and run.calibration.numbers["price"].rows == 8
    assert not RunMetrics.read(run.path).intervals
    with pytest.raises(RunError, match="0.888 at most"):
        run.predict(plain_rows(2), level=0.9)
    assert run.predict(plain_rows(2), level=0.8).frame["price_low"].notna().all()
    assert read_calibration(run.path, run.spec) == run.calibration


@pytest.mark.usefixtures("only_the_model")
def test_a_model_of_photos_alone_is_calibrated(trained: Trained, tmp_path: Path) -> None:
    data = {"image_size": 16, "split": {"method": "column", "column": "split"}}
    run = train(
        trained.folder / "catalogue.csv",
        "price",
        out=tmp_path / "run",
        config=tiny_config(PHOTOS, data=data, epochs=1),
    )
    assert run.calibration is not None and not run.calibration.features
    frame = run.predict(trained.test, level=0.9).frame
    assert (frame["price_low"] < frame["price_high"]).all()
    assert frame["unusual"].ne("").sum() <= 3


@pytest.mark.usefixtures("only_the_model")
def test_box_heads_have_neither_intervals_nor_temperatures(
    trained: Trained, tmp_path: Path
) -> None:
    rows = pd.read_csv(trained.folder / "catalogue.csv")
    corners = {"xmin": 2.0, "ymin": 3.0, "xmax": 30.0, "ymax": 28.0}
    heads = [
        {"name": "spot", "column": list(corners), "head": "bounding_box"},
        {"name": "price", "column": "price"},
    ]
    config = tiny_config(PHOTOS, epochs=1).merge(heads=heads)
    rows = rows.assign(**corners)
    rows["xmin"] += np.arange(len(rows)) % 9
    run = train(rows, out=tmp_path / "run", config=config, images=trained.folder)
    assert run.calibration is not None and set(run.calibration.numbers) == {"price"}
    frame = run.predict(trained.test, level=0.8).frame
    assert {"spot_xmin", "price_low"} <= set(frame) and "spot_low" not in frame
