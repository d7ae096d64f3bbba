"""Loading a run, predicting raw rows with it, measuring it; in this process and in a fresh one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from runs import FRESH, Trained
from tiny import plain_config, plain_rows

from multimodal.core.errors import DataError
from multimodal.core.manifest import write_manifest
from multimodal.evaluation.metrics import regression_metrics
from multimodal.runs.load import save_parts
from multimodal.runs.run import Run, load
from multimodal.runs.train import train


@pytest.fixture(scope="module")
def run(trained: Trained) -> Run:
    return load(trained.run)


@pytest.fixture(scope="module")
def rows(trained: Trained) -> pd.DataFrame:
    """The test rows as a person would hold them."""
    return pd.read_csv(trained.test)


@pytest.fixture(scope="module")
def told(trained: Trained) -> np.ndarray:
    """What training wrote to predictions.csv."""
    return pd.read_csv(trained.run / "predictions.csv")["price_prediction"].to_numpy()


def test_a_fresh_process_reproduces_the_predictions(trained: Trained, told: np.ndarray) -> None:
    words = [sys.executable, "-m", "multimodal", "predict", str(trained.run), str(trained.test)]
    done = subprocess.run(words, capture_output=True, text=True, env=FRESH, check=True)
    frame = pd.read_csv(StringIO(done.stdout))
    assert done.stdout.startswith("row,id,price_prediction,note,unusual\n")
    np.testing.assert_allclose(frame["price_prediction"], told, rtol=1e-5)
    assert frame["row"].tolist() == list(range(30))
    assert "Traceback" not in done.stderr


def test_plain_keras_opens_the_model(trained: Trained, run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inputs = {
        "table_numeric": random.normal(size=(3, 2)).astype("float32"),
        "table_categorical": random.integers(0, 3, (3, 2)).astype("int32"),
        "words_tokens": random.integers(0, 9, (3, 8)).astype("int32"),
        "photos_pixels": random.integers(0, 256, (3, 1, 16, 16, 3)).astype("uint8"),
        "photos_present": np.ones((3, 1), bool),
        "table_present": np.ones(3, bool),
        "words_present": np.ones(3, bool),
    }
    assert set(inputs) == set(run.spec.input_keys)
    inputs["terms_ids"] = random.integers(0, run.spec.terms.num_terms, (3, 5)).astype("int32")
    inputs["terms_weights"] = random.normal(size=(3, 5)).astype("float32")
    np.savez(tmp_path / "in.npz", **inputs)
    code = (
        "import sys, keras, numpy as np, multimodal.models.build\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "raw = model(dict(np.load(sys.argv[2])), training=False)\n"
        "np.save(sys.argv[3], keras.ops.convert_to_numpy(raw['price']))\n"
    )
    paths = [trained.run / "model.keras", tmp_path / "in.npz", tmp_path / "out.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, paths)], env=FRESH, check=True)
    expected = np.asarray(run.model(inputs, training=False)["price"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-5, atol=1e-6)


def test_frames_and_dicts_are_predicted_alike(
    run: Run, rows: pd.DataFrame, told: np.ndarray, trained: Trained
) -> None:
    for source in (rows, rows.to_dict("records"), trained.test):
        found = run.predict(source, images=trained.folder)
        np.testing.assert_allclose(found.frame["price_prediction"], told, rtol=1e-5)
        assert found.frame["note"].str.fullmatch("('brand': '.*' is unknown)?").all()
        assert found.frame["id"].tolist() == rows["id"].tolist()
        assert not found.unused_columns


def test_one_row_is_predicted_like_many(
    run: Run, rows: pd.DataFrame, told: np.ndarray, trained: Trained
) -> None:
    for i, row in enumerate(rows.head(4).to_dict("records")):
        found = run.predict_row(row, images=trained.folder)
        assert found.pop("note", "'brand'").startswith("'brand'")
        assert found == {"price": pytest.approx(told[i], rel=1e-4)}
    alone = run.predict(rows.tail(1), images=trained.folder).frame
    assert alone["price_prediction"].tolist() == [pytest.approx(told[-1], rel=1e-4)]


def test_one_row_says_what_is_wrong(run: Run, rows: pd.DataFrame, trained: Trained) -> None:
    row = rows.iloc[0].to_dict()
    gone = {**row, "image": "gone.jpg"}
    found = run.predict_row(gone, images=trained.folder)
    assert found["note"].startswith("photo, which counts as absent: ")
    assert found["price"] == run.predict_row({**row, "image": None}, images=trained.folder)["price"]
    strict = replace(run, config=run.config.merge(data={"missing_photo": "drop"}))
    with pytest.raises(DataError, match="no such photo"):
        strict.predict_row(gone, images=trained.folder)
    with pytest.raises(DataError, match="columns missing: brand"):
        run.predict_row({k: v for k, v in row.items() if k != "brand"}, images=trained.folder)
    bare = run.predict_row({**row, "image": None}, images=trained.folder)
    assert np.isfinite(bare["price"])
    assert "'image' is missing; training rows have it" in bare["note"]


@pytest.fixture
def spoil(trained: Trained, tmp_path: Path) -> Callable[..., Path]:
    """Write the test rows anew, with some lines replaced, next to their photos."""
    shutil.copytree(trained.folder / "photos" / "20000", tmp_path / "photos" / "20000")
    lines = trained.test.read_text().splitlines()

    def write(change: dict[int, Any], header: str = "", keep: int = 30) -> Path:
        found = [header or lines[0]]
        for i, line in enumerate(lines[1 : keep + 1]):
            found.append(change[i](line) if callable(change.get(i)) else change.get(i, line))
        path = tmp_path / "rows.csv"
        path.write_text("\n".join(found) + "\n")
        return path

    return write


def cells(line: str, **new: str) -> str:
    """Replace cells of a catalogue's line; the description may hold commas."""
    frame = pd.read_csv(StringIO(f"{HEADER}\n{line}\n"), dtype=str)
    for name, value in new.items():
        frame[name] = value
    return frame.to_csv(index=False, header=False).rstrip("\n")


HEADER = "id,split,category,brand,weight_g,width_cm,height_cm,depth_cm,year,description,image,price"


def test_every_row_comes_back_in_order(
    run: Run, spoil: Callable[..., Path], told: np.ndarray, tmp_path: Path
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "cut.jpg")
    content = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    file = spoil(
        {
            2: "p1,test,lamp",
            4: lambda line: cells(line, image="cut.jpg"),
            5: lambda line: cells(line, image="page.jpg"),
            7: lambda line: cells(line, image="gone.jpg"),
            8: lambda line: cells(line, image=""),
            9: lambda line: cells(line, brand="Neverheard", category="spoon"),
            10: lambda line: cells(line, brand="Neverheard"),
        }
    )
    found = run.predict(file)
    frame = found.frame
    assert frame["row"].tolist() == list(range(30))
    lost = frame.index[frame["price_prediction"].isna()].tolist()
    assert lost == [2]
    strict = replace(run, config=run.config.merge(data={"missing_photo": "drop"}))
    dropped = strict.predict(file).frame["price_prediction"].isna()
    assert np.flatnonzero(dropped).tolist() == [2, 4, 5]
    assert frame["note"][2].startswith("line 4: ")
    assert frame["note"][4].startswith("photo, which counts as absent: ")
    assert "cut.jpg: " in frame["note"][4]
    assert "page.jpg: not a readable photo" in frame["note"][5]
    assert frame["note"][7].endswith("gone.jpg: no such photo")
    assert frame["note"][8].startswith("'image' is missing; training rows have it")
    assert found.counts["unseen in 'brand'"] - run.predict(spoil({})).counts.get(
        "unseen in 'brand'", 0
    ) in (1, 2)  # their own brands may have been unknown
    assert found.counts["unseen in 'category'"] == 1
    assert found.counts["photos not found"] == 1
    assert found.counts["rows without a photo"] == 2
    assert found.counts["rows without a prediction"] == 1
    assert found.counts["photos that cannot be read"] == 2
    plain = [i for i in range(30) if i not in (2, 4, 5, 7, 8, 9, 10)]
    np.testing.assert_allclose(frame["price_prediction"][plain], told[plain], rtol=1e-5)


def test_columns_may_be_more_or_in_another_order(
    run: Run, rows: pd.DataFrame, told: np.ndarray, trained: Trained
) -> None:
    wider = rows[rows.columns[::-1]].assign(colour="red", shelf=3)
    found = run.predict(wider.drop(columns=["price", "id", "width_cm"]), images=trained.folder)
    np.testing.assert_allclose(found.frame["price_prediction"], told, rtol=1e-5)
    assert found.unused_columns == ["colour", "shelf"]
    assert list(found.frame) == ["row", "price_prediction", "note", "unusual"]


def test_a_missing_column_is_told_with_those_expected(
    run: Run, rows: pd.DataFrame, trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "narrow.csv"
    rows.drop(columns=["brand", "image"]).to_csv(path, index=False)
    with pytest.raises(DataError) as error:
        run.predict(path, images=trained.folder)
    said = str(error.value)
    assert said.startswith(f"{path}: columns missing: brand, image. The model reads: category, br")
    assert "Came: id, split, category, weight_g" in said


def test_no_rows_give_no_predictions(run: Run, rows: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    rows.head(0).to_csv(path, index=False)
    for source in (path, rows.head(0)):
        found = run.predict(source)
        assert list(found.frame) == ["row", "id", "price_prediction", "note", "unusual"]
        assert len(found.frame) == 0
        assert not any(found.counts.values())


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd"])
def test_a_photo_path_that_leads_out_costs_its_row_alone(
    name: str, run: Run, spoil: Callable[..., Path], told: np.ndarray
) -> None:
    found = run.predict(spoil({3: lambda line: cells(line, image=name)}, keep=6)).frame
    assert found["note"][3].startswith(f"photo: photo '{name}' leads out of the photo folder")
    gone = found["price_prediction"].isna()
    assert np.flatnonzero(gone).tolist() == [3]
    np.testing.assert_allclose(found["price_prediction"][~gone], told[:6][~gone], rtol=1e-5)


def test_evaluate_measures_the_predictions(trained: Trained, run: Run, said: list[str]) -> None:
    frame = pd.read_csv(trained.run / "predictions.csv")
    expected = regression_metrics(frame["price_true"], frame["price_prediction"])
    found = run.evaluate(trained.test)
    assert found == {"price": pytest.approx(expected, rel=1e-5)}
    assert not said


def test_evaluate_leaves_out_rows_and_says_so(
    run: Run, spoil: Callable[..., Path], trained: Trained, said: list[str]
) -> None:
    changes = {
        0: "p1,test,lamp",
        3: lambda line: cells(line, price=""),
        4: lambda line: cells(line, price="ask"),
        6: lambda line: cells(line, image="gone.jpg"),
    }
    found = run.evaluate(spoil(changes))
    assert found["price"]["n"] == 27
    assert said[1:] == ["price: 3 of 30 rows left out; they lack a truth, a weight or a prediction"]
    assert said[0].startswith("price: labels that do not count, since unreadable: 1, ")
    told = pd.read_csv(trained.run / "predictions.csv").drop(index=[0, 3, 4])
    predicted = run.predict(spoil(changes)).frame["price_prediction"].to_numpy()
    told.loc[6, "price_prediction"] = predicted[6]
    expected = regression_metrics(told["price_true"], told["price_prediction"])
    assert found["price"] == pytest.approx(expected, rel=1e-5)


def test_evaluate_needs_the_target(run: Run, rows: pd.DataFrame, trained: Trained) -> None:
    with pytest.raises(DataError, match="target 'price' is not in the table"):
        run.evaluate(rows.drop(columns="price"), images=trained.folder)
    with pytest.raises(DataError, match="no row has both a 'price' and a prediction"):
        run.evaluate(rows.assign(price=None), images=trained.folder)


@pytest.mark.usefixtures("only_the_model")
def test_a_price_with_a_sign_is_read_in_evaluation_as_in_training(tmp_path: Path) -> None:
    rows = plain_rows()
    rows["price"] = ["$" + str(price) for price in rows["price"]]
    run = train(rows, "price", out=tmp_path / "run", config=plain_config(epochs=1))
    assert run.evaluate(rows)["price"]["n"] == 80
    assert run.predict(rows.drop(columns="price")).counts["rows without a prediction"] == 0


def test_the_config_inside_the_model_file_is_not_read(
    damaged: Path, run: Run, rows: pd.DataFrame, trained: Trained
) -> None:
    with zipfile.ZipFile(damaged / "model.keras") as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(damaged / "model.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "TFSMLayer", "module": "os"}')
        archive.writestr("model.weights.h5", weights)
    write_manifest(damaged)
    found = load(damaged).predict(rows.head(3), images=trained.folder).frame
    pd.testing.assert_frame_equal(found, run.predict(rows.head(3), images=trained.folder).frame)


def test_a_model_saved_again_predicts_the_same(
    run: Run, rows: pd.DataFrame, trained: Trained, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    save_parts(tmp_path / "again", run.config, run.schema, run.spec, run.model)
    found = load(tmp_path / "again").predict(rows, images=trained.folder).frame
    expected = run.predict(rows, images=trained.folder).frame
    np.testing.assert_allclose(found["price_prediction"], expected["price_prediction"], rtol=1e-6)
