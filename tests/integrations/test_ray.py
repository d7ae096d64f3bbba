"""Classes for Ray Data: their contract without Ray, and two workers of which one is killed."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from runs import FRESH
from tiny import plain_rows

import multimodal
from multimodal.core.errors import ConfigError, DataError
from multimodal.integrations import ray as module
from multimodal.ray import ExtractFeatures, PredictRows, PrepareRows, predict, prepare
from multimodal.runs.run import load

ROWS = plain_rows(24, seed=1).drop(columns=["price", "weight"])


@pytest.fixture(scope="module")
def predictor(plain_run: Path) -> PredictRows:
    return PredictRows(str(plain_run), level=0.8)


def test_batches_of_every_format_have_the_predictions_of_the_run(
    predictor: PredictRows, plain_run: Path
) -> None:
    expected = load(plain_run).predict(ROWS, level=0.8).frame.drop(columns="row")
    arrays = {name: ROWS[name].to_numpy() for name in ROWS}
    shifted = ROWS.set_axis(np.arange(24) + 7)
    for batch in (ROWS, shifted, arrays, pa.Table.from_pandas(ROWS, preserve_index=False)):
        found = predictor(batch)
        assert list(found) == [*ROWS, *expected]
        pd.testing.assert_frame_equal(found[list(expected)], expected)
        assert found["size"].tolist() == ROWS["size"].tolist()
    assert len(predictor(ROWS.head(0))) == 0
    with pytest.raises(DataError, match="expected a batch of rows"):
        predictor([1, 2])


def test_what_a_batch_lacks_or_has_already_is_told(predictor: PredictRows, plain_run: Path) -> None:
    with pytest.raises(DataError, match="columns missing: shop"):
        predictor(ROWS.drop(columns="shop"))
    with pytest.raises(DataError, match="columns note of the rows have the names of predictions"):
        predictor(ROWS.assign(note="mine"))
    with pytest.raises(ConfigError, match="level"):
        PredictRows(str(plain_run), level=2)


def test_rows_are_read_as_those_of_the_training_whatever_their_batch(
    predictor: PredictRows,
) -> None:
    sizes = ["1,5", "2,5", "3,5", "1.5"]
    texts = ROWS.head(4).assign(size=sizes)
    alone = pd.concat([predictor(texts.iloc[[i]]) for i in range(4)])
    together = predictor(texts)
    assert alone["note"].tolist() == together["note"].tolist()
    np.testing.assert_allclose(alone["price_prediction"], together["price_prediction"], rtol=1e-6)


def test_classes_have_one_type_in_all_batches(
    saved_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PredictRows(str(saved_run), images=saved_run.parent)
    tasks = [
        replace(task, classes=["0", "1", "2"], label_type="integer") if task.classes else task
        for task in model._run.tasks
    ]
    monkeypatch.setitem(model._run.__dict__, "tasks", tasks)
    found = model(pd.read_csv(saved_run.parent / "few.csv").drop(columns=["price", "mood"]))
    assert str(found["mood_prediction"].dtype) == "Int64"


def test_prepared_rows_are_what_the_network_reads(saved_run: Path) -> None:
    folder = saved_run.parent
    rows = pd.read_csv(folder / "few.csv")
    make = PrepareRows(str(saved_run), images=folder, keep=["price"])
    found = make(rows.head(5))
    expected = load(saved_run).inputs(rows.head(5), images=folder)
    np.testing.assert_array_equal(found["price"], rows["price"].head(5))
    assert {key for key in found if key.endswith("_pixels")} == {"photos_pixels"}
    for key, array in expected.items():
        width = array.shape[1] if array.ndim > 1 else None
        np.testing.assert_array_equal(found[key][:, :width] if width else found[key], array)
    other = make(rows.tail(3))
    assert {key: found[key].shape[1:] for key in found} == {k: other[k].shape[1:] for k in other}
    with pytest.raises(DataError, match="column 'prise' is missing. Did you mean 'price'"):
        PrepareRows(str(saved_run), keep=["prise"])(rows)


class _Extractor:
    """Features that say what they were made of."""

    name, key, checksum, dim = "mine", "mine", "", 2

    def __init__(self, size: int) -> None:
        self.size = size

    def photos(self, pixels: Any) -> Any:
        return np.stack([pixels.mean(axis=(1, 2, 3)), np.ones(len(pixels))], 1).astype(np.float32)

    def texts(self, texts: Any) -> Any:
        return np.array([[len(text), 1] for text in texts], np.float32)


@pytest.mark.parametrize("size", [0, 16])
def test_features_of_a_column_are_added(
    size: int, saved_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MULTIMODAL_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "multimodal.models.pretrained.extractors.load_extractor", lambda name: _Extractor(size)
    )
    rows = pd.read_csv(saved_run.parent / "few.csv").head(4)
    column = "photo" if size else "description"
    rows.loc[1, column] = "absent.png" if size else None
    found = ExtractFeatures("mine", column, images=saved_run.parent)(rows)
    vectors = np.stack(found[f"{column}_mine"])
    assert vectors.shape == (4, 2) and vectors.dtype == np.float32
    assert vectors[0].all() and (not vectors[1].any() if size else vectors[1, 0] == 0)
    if not size:
        assert vectors[0, 0] == len(rows["description"][0])
    with pytest.raises(DataError, match="column 'other' is missing"):
        ExtractFeatures("mine", "other")(rows)


def test_datasets_are_mapped_with_the_run_loaded_by_each_worker(plain_run: Path) -> None:
    class Dataset:
        def map_batches(self, kind: type, **options: Any) -> tuple[type, dict[str, Any]]:
            return kind, options

    kind, options = predict(Dataset(), plain_run, level=0.5, concurrency=3, num_gpus=1)
    assert kind is PredictRows and options["fn_constructor_args"] == (str(plain_run), None, 0.5)
    assert (options["concurrency"], options["num_gpus"], options["batch_format"]) == (
        3,
        1,
        "pandas",
    )
    kind, options = prepare(Dataset(), plain_run, keep=["id"], batch_size=8)
    assert kind is PrepareRows and options["fn_constructor_args"] == (str(plain_run), None, ["id"])
    assert pickle.loads(pickle.dumps(kind)) is PrepareRows  # a worker is sent the class alone
    with pytest.raises(ConfigError, match="expected a dataset of Ray Data, got str"):
        predict("rows.parquet", plain_run)
    assert multimodal.ray.predict is module.predict


RAY = """
import os, signal, sys
import pandas as pd, ray
from multimodal.ray import PredictRows, predict

class KilledOnce(PredictRows):
    def __call__(self, batch):
        if batch["number"].max() > 11 and not os.path.exists("killed"):
            open("killed", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch).assign(worker=os.getpid())

# four processors: two workers that took all there are would leave none to read with
ray.init(num_cpus=4, include_dashboard=False, object_store_memory=150 << 20, log_to_driver=False,
         _node_ip_address="127.0.0.1", _temp_dir=sys.argv[2])
rows = ray.data.read_parquet("in", override_num_blocks=4)
given = (sys.argv[1], os.path.dirname(sys.argv[1]), 0.8)
found = rows.map_batches(KilledOnce, fn_constructor_args=given, batch_size=4,
                         batch_format="pandas", concurrency=2, num_cpus=1)
found.to_pandas().to_parquet("out.parquet")
ray.shutdown()
"""


@pytest.mark.large
@pytest.mark.timeout(1200)
def test_two_workers_of_which_one_is_killed(saved_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    few = pd.read_csv(saved_run.parent / "few.csv").drop(columns=["price", "mood"]).head(6)
    rows = pd.concat([few] * 3, ignore_index=True).assign(number=range(18))
    (tmp_path / "in").mkdir()
    for i in range(3):
        part = rows.iloc[6 * i : 6 * i + 6]
        part.to_parquet(tmp_path / "in" / f"{i}.parquet", index=False)
    environment = {
        **FRESH,
        "HOME": str(tmp_path),  # where Ray lays its token
        "PYTHONPATH": str(Path(str(multimodal.__file__)).parents[1]),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on 127.0.0.1 alone
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "240",
    }
    temporary = Path("/tmp") / f"ray-{os.getpid()}"  # sockets must have short names
    try:
        done = subprocess.run(
            [sys.executable, "-c", RAY, saved_run, temporary],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1000,
        )
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "killed").exists()
    found = pd.read_parquet(tmp_path / "out.parquet").sort_values("number", ignore_index=True)
    expected = load(saved_run).predict(rows, images=saved_run.parent, level=0.8).frame
    assert found["number"].tolist() == list(range(18)) and found["worker"].nunique() > 1
    for name in ("price_prediction", "price_low", "price_high", "mood_probability_heavy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    assert found["mood_prediction"].tolist() == expected["mood_prediction"].tolist()
