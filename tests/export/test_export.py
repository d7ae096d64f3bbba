"""Exports of whole runs to ONNX: the same predictions, without Keras and TensorFlow.

The run is that of `fixtures/saved_run.zip`: table, text and photos to a number with boosted trees
beside the networks and to a class, by two networks and a sparse linear model.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import FRESH, Command, shared
from tiny import digests

import multimodal
from multimodal.core.errors import RunError
from multimodal.core.manifest import write_manifest
from multimodal.runs import exporting
from multimodal.runs.export_check import largest_difference
from multimodal.runs.exported import ExportedRun
from multimodal.runtime.export_record import EXPORT, read_export

SAVED = Path(__file__).parents[1] / "fixtures" / "saved_run.zip"
# as where nothing is installed but what `docs/export.md` names
BLOCKED = """
import sys

ABSENT = {"keras", "tensorflow", "sklearn", "matplotlib", "jinja2", "h5py", "threadpoolctl"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import multimodal
run = multimodal.load(sys.argv[1])
run.predict(sys.argv[2], images=sys.argv[3], level=0.8).frame.to_pickle(sys.argv[4])
print(run.predict_row({"size": 3, "year": 2017, "shop": "west", "description": "a", "photo": None}))
print(*sorted(ABSENT & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `run`, its export `onnx`, `few.csv` and `photos`."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(SAVED) as archive:
            archive.extractall(folder)
        run = multimodal.load(folder / "run")
        before = digests(folder / "run")
        assert run.export(folder / "onnx", rows=folder / "few.csv") == folder / "onnx"
        assert digests(folder / "run") == before

    return shared(tmp_path_factory, "exported", make)


@pytest.fixture(scope="module")
def run(saved: Path) -> multimodal.Run:
    return multimodal.load(saved / "run")


@pytest.fixture(scope="module")
def exported(saved: Path) -> ExportedRun:
    return multimodal.load(saved / "onnx")


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved / "onnx", tmp_path / "onnx"))


def test_it_predicts_the_same_where_neither_keras_nor_tensorflow_is(
    saved: Path, run: multimodal.Run, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", BLOCKED, saved / "onnx", saved / "few.csv", saved]
    done = subprocess.run(
        [*map(str, words), str(tmp_path / "found")], capture_output=True, text=True, env=FRESH
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""  # none of them is loaded
    found = pd.read_pickle(tmp_path / "found")
    expected = run.predict(saved / "few.csv", level=0.8).frame
    assert (
        expected["price_low"].notna().all() and any(expected["note"]) and any(expected["unusual"])
    )
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    assert largest_difference(expected, found) < 1e-5


def test_other_rows_are_predicted_as_by_the_run(
    saved: Path, run: multimodal.Run, exported: ExportedRun
) -> None:
    rows = pd.read_csv(saved / "few.csv").to_dict("records")
    odd: list[dict[str, Any]] = [*rows, {**rows[0], "size": "?", "photo": "gone.png"}]
    odd += [
        {**rows[1], "shop": "nowhere", "description": "", "size": np.inf},
        {**rows[2], "size": None},
    ]
    for some in (odd, odd[:1], []):
        expected, found = (each.predict(some, images=saved).frame for each in (run, exported))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    one, other = (each.predict_row(rows[3], images=saved, level=0.9) for each in (run, exported))
    assert one.keys() == other.keys() == {"price", "mood"}
    assert other["price"] == pytest.approx(one["price"], rel=1e-5)
    assert other["mood"]["prediction"] == one["mood"]["prediction"]


def test_it_measures_as_the_run(saved: Path, run: multimodal.Run, exported: ExportedRun) -> None:
    rows = pd.read_csv(saved / "few.csv").assign(price=[float(i) for i in range(8)])
    expected = multimodal.evaluate(run, rows, images=saved)
    found = multimodal.evaluate(exported, rows, images=saved)
    assert found["price"] == pytest.approx(expected["price"], rel=1e-5)


def test_the_record_names_inputs_outputs_and_the_comparison(
    saved: Path, run: multimodal.Run
) -> None:
    record = read_export(saved / "onnx")
    inputs = {each.name: each for each in record.inputs}
    assert set(inputs) == {*run.spec.input_keys, "terms_ids", "terms_weights"}
    assert inputs["photos_pixels"].shape == [None, 1, 16, 16, 3]
    assert inputs["photos_pixels"].dtype == "uint8"
    assert "size" in inputs["table_numeric"].meaning and "NaN" in inputs["table_numeric"].meaning
    outputs = {each.name: each.meaning for each in record.outputs}
    assert "trees.npz" in outputs["price.raw"] and "decode.onnx" in outputs["mood.raw"]
    assert record.comparison is not None and record.comparison.rows == 8
    assert record.comparison.difference < 1e-5 and record.run == "run"
    assert str(saved) not in json.dumps(record.model_dump(exclude={"comparison"}))


def test_the_command_takes_an_export_as_a_run(
    saved: Path, command: Command, tmp_path: Path
) -> None:
    answers = [
        command("predict", saved / name, saved / "few.csv", "--level", "0.8")
        for name in ("run", "onnx")
    ]
    assert [each.code for each in answers] == [0, 0] and answers[0].err == answers[1].err
    (tmp_path / "a.csv").write_text(answers[0].out)
    (tmp_path / "b.csv").write_text(answers[1].out)
    one, other = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "{onnx}", "{few}"),
        ("explain", "{onnx}", "--importance", "{few}"),
        ("report", "{onnx}"),
        ("export", "{onnx}"),
        ("train", "{few}", "--target", "price", "--from", "{onnx}", "--out", "{out}"),
    ],
    ids=lambda words: " ".join(words[:1] + words[2:3]),
)
def test_what_an_export_cannot_do_is_said(
    words: tuple[str, ...], saved: Path, command: Command, tmp_path: Path
) -> None:
    places = {"onnx": saved / "onnx", "few": saved / "few.csv", "out": tmp_path / "run"}
    answer = command(*(word.format(**places) for word in words))
    assert answer.code == 2 and "an export, which predicts and measures rows" in answer.err
    assert "the run it was made from, 'run'" in answer.err and "Traceback" not in answer.err


def test_what_a_run_has_and_an_export_has_not(exported: ExportedRun) -> None:
    assert not any(hasattr(exported, name) for name in ("explain", "importance", "inputs", "model"))
    with pytest.raises(RunError, match="an export, which predicts and measures rows"):
        exported.explain([{}])
    with pytest.raises(AttributeError, match="has no attribute 'exlpain'"):
        _ = exported.exlpain


def test_the_command_exports_and_says_what_it_compared(
    saved: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "write_folder", _from(saved / "onnx"))
    (tmp_path / "run").symlink_to(saved / "run")
    answer = command("export", tmp_path / "run", "--out", tmp_path / "new")
    assert answer.code == 0, answer.err
    # the table of its training is on no other machine
    assert "warning: the table that the run was trained on is not here" in answer.err
    assert "64 rows of drawn values are predicted as by the run in a fresh process" in answer.err
    assert read_export(tmp_path / "new").comparison.source == "drawn values"
    answer = command("export", tmp_path / "run", "--out", tmp_path / "new")
    assert answer.code == 2 and "is there already, and an export replaces nothing" in answer.err


def _from(export: Path) -> Any:
    """Return what writes a copy of an export that is there, which is made in no time."""

    def write(model: Any, run: Path, folder: Path, *_: Any) -> Any:
        shutil.copytree(export, folder, dirs_exist_ok=True)
        return read_export(folder)

    return write


def test_one_that_predicts_something_else_is_not_kept(
    saved: Path, run: multimodal.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: Any, own: Path, folder: Path, *rest: Any) -> Any:
        record = _from(saved / "onnx")(model, own, folder)
        arrays = dict(np.load(folder / "linear.npz"))
        np.savez(folder / "linear.npz", **{**arrays, "price/bias": arrays["price/bias"] + 1e-2})
        return record

    monkeypatch.setattr(exporting, "write_folder", wrong)
    with pytest.raises(RunError, match=r"does not predict what the run predicts.*price_prediction"):
        run.export(tmp_path / "new", rows=saved / "few.csv")
    assert list(tmp_path.iterdir()) == []

    def torn(*given: Any) -> Any:
        record = _from(saved / "onnx")(*given)
        (given[2] / "decode.onnx").write_bytes(b"torn")
        return record

    monkeypatch.setattr(exporting, "write_folder", torn)
    with pytest.raises(RunError, match="does not predict in a fresh process: .*decode.onnx"):
        run.export(tmp_path / "new", rows=saved / "few.csv")
    assert list(tmp_path.iterdir()) == []


def test_where_it_may_be_written(run: multimodal.Run, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected one of onnx, saved_model, litert, openvino"):
        run.export(tmp_path / "new", "pickle")
    with pytest.raises(RunError, match="replaces nothing"):
        run.export(tmp_path)
    with pytest.raises(RunError, match="lies in the run"):
        run.export(saved / "run" / "new")


def test_a_damaged_export_is_not_opened(copied: Path) -> None:
    content = (copied / "network.onnx").read_bytes()
    (copied / "network.onnx").write_bytes(content[:-1])
    with pytest.raises(RunError, match=r"network\.onnx: changed since manifest\.json"):
        multimodal.load(copied)
    write_manifest(copied)
    with pytest.raises(RunError, match=r"network\.onnx: damaged, or no network"):
        multimodal.load(copied)
    (copied / "network.onnx").write_bytes((copied / "decode.onnx").read_bytes())
    write_manifest(copied)
    with pytest.raises(RunError, match=r"network\.onnx: damaged, or of another run"):
        multimodal.load(copied)
    (copied / "network.onnx").write_bytes(content)
    arrays = dict(np.load(copied / "linear.npz"))
    np.savez(copied / "linear.npz", **{**arrays, "price/kernel": np.ones((2, 1))})
    write_manifest(copied)
    with pytest.raises(RunError, match=r"linear\.npz: damaged.*another shape"):
        multimodal.load(copied)
    (copied / "linear.npz").unlink()
    with pytest.raises(RunError, match=r"linear\.npz: is missing"):
        multimodal.load(copied)


def test_a_record_of_something_else_is_told(copied: Path) -> None:
    record = read_export(copied)
    heads = [head.model_copy(update={"classes": head.classes[::-1]}) for head in record.heads]
    (copied / EXPORT).write_text(record.model_copy(update={"heads": heads}).model_dump_json())
    write_manifest(copied)
    with pytest.raises(RunError, match="of another run"):
        multimodal.load(copied)
    other = record.model_copy(update={"format": "litert"})
    (copied / EXPORT).write_text(other.model_dump_json())
    write_manifest(copied)
    with pytest.raises(RunError, match=r"export for litert, .* with --format onnx"):
        multimodal.load(copied)
    (copied / EXPORT).write_text("{}")
    write_manifest(copied)
    with pytest.raises(RunError, match=r"export\.json: damaged; `format`"):
        multimodal.load(copied)


FRAME = pd.DataFrame({"price_prediction": [100.0, np.nan], "note": ["", "gone"]})


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("price_prediction", [100.01, np.nan], "price_prediction of row 0 is 100.01, expected 100"),
        ("price_prediction", [100.0, 5.0], "price_prediction of row 1 is 5, expected nan"),
        ("price_prediction", [np.inf, np.nan], "price_prediction of row 0 is inf, expected 100"),
        ("note", ["", "here"], "note of row 1 is 'here', expected 'gone'"),
        ("new", [1, 2], "its columns are"),
    ],
)
def test_differences_are_told(column: str, value: list[Any], told: str) -> None:
    assert largest_difference(FRAME, FRAME) == 0
    with pytest.raises(RunError, match="does not predict what the run predicts") as error:
        largest_difference(FRAME, FRAME.assign(**{column: value}))
    assert told in str(error.value)


def test_rows_without_any_prediction_compare_nothing() -> None:
    with pytest.raises(RunError, match="predicts none of the rows"):
        largest_difference(FRAME.tail(1), FRAME.tail(1))
