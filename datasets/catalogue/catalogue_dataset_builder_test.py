"""Tests of the generated catalogue's files, of its package, and of its TFDS builder."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal.data.generated import builder_package

FOLDER = Path(__file__).resolve().parent
catalogue = builder_package()
records, rows_module = (
    importlib.import_module(f"{catalogue.__name__}.{name}") for name in ("records", "rows")
)
LOAD = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location(
    "shop", {str(FOLDER / "__init__.py")!r}, submodule_search_locations=[{str(FOLDER)!r}])
sys.modules["shop"] = shop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shop)
"""


# The files

TINY = (6, 2, 2)


def test_export_writes_tables_and_photos(tmp_path):
    folder = catalogue.export(tmp_path / "new" / "shop", TINY, seed=1)
    table = pd.read_csv(folder / "catalogue.csv")
    y_true = pd.read_csv(folder / "truth.csv")
    assert tuple(table.columns) == records.CATALOGUE_COLUMNS
    assert tuple(y_true.columns) == records.TRUTH_COLUMNS
    assert table["split"].value_counts().to_dict() == {"train": 6, "validation": 2, "test": 2}
    assert (table["id"] == y_true["id"]).all() and table["id"].is_unique
    np.testing.assert_allclose(
        np.log(table["price"]), y_true["expected_log_price"] + y_true["noise"], atol=1e-9
    )
    row = catalogue.make_row(1, "train", 3)
    assert (folder / table["image"][3]).read_bytes() == row.jpeg()
    assert not set(table.columns) & set(y_true.columns) - {"id"}


def test_export_is_reproducible_and_reused(tmp_path):
    first, second = (catalogue.export(tmp_path / name, TINY) for name in "ab")
    assert catalogue.is_complete(first)
    assert (first / "catalogue.json").read_bytes() == (second / "catalogue.json").read_bytes()
    written = (first / "catalogue.csv").stat().st_mtime_ns
    assert catalogue.export(first, TINY) == first
    assert (first / "catalogue.csv").stat().st_mtime_ns == written


@pytest.mark.parametrize("other", [{"seed": 1}, {"size": (6, 2, 3)}, {"shift": catalogue.Shift()}])
def test_export_refuses_another_catalogue(tmp_path, other):
    catalogue.export(tmp_path / "shop", TINY)
    with pytest.raises(FileExistsError, match="another catalogue"):
        catalogue.export(tmp_path / "shop", **{"size": TINY, **other})


def test_export_refuses_a_folder_of_other_things(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="holds something else"):
        catalogue.export(tmp_path, TINY)
    with pytest.raises(FileExistsError, match="holds something else"):
        catalogue.export(tmp_path / "letter.txt", TINY)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_export_notices_changed_files(tmp_path):
    folder = catalogue.export(tmp_path / "shop", TINY)
    next(folder.glob("photos/*/*.jpg")).unlink()
    assert not catalogue.is_complete(folder)
    with pytest.raises(FileExistsError, match="changed or removed"):
        catalogue.export(folder, TINY)


def test_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(row):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows_module.Row, "jpeg", fail)
    with pytest.raises(OSError, match="No space"):
        catalogue.export(tmp_path / "shop", TINY)
    assert list(tmp_path.iterdir()) == []


def test_killed_export_is_not_taken_for_whole(tmp_path):
    code = f"""{LOAD}
jpeg, left = shop.Row.jpeg, iter(range(5))
shop.Row.jpeg = lambda row: jpeg(row) if next(left, None) is not None else os.kill(os.getpid(), 9)
shop.export("shop", {TINY!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    assert done.returncode == -9
    assert not (tmp_path / "shop").exists()
    (partial,) = tmp_path.glob(".shop.*.partial")
    assert not catalogue.is_complete(partial)
    catalogue.export(tmp_path / "shop", TINY)
    assert partial.exists(), "another export may still be writing it"


def test_abandoned_work_is_removed(tmp_path):
    partial = tmp_path / ".shop.x.partial"
    partial.mkdir()
    (partial / "catalogue.csv").write_text("id")
    long_ago = time.time() - 7200
    for path in (partial / "catalogue.csv", partial):
        os.utime(path, (long_ago, long_ago))
    catalogue.export(tmp_path / "shop", TINY)
    assert not partial.exists()


def test_manifest_states_what_was_asked(tmp_path):
    folder = catalogue.export(tmp_path / "shop", TINY, seed=2)
    manifest = json.loads((folder / "catalogue.json").read_text())
    assert (manifest["version"], manifest["seed"]) == (catalogue.VERSION, 2)
    assert manifest["rows"] == {"train": 6, "validation": 2, "test": 2}


# The package and the builder


def run_python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_installed_datasets_library_wins(tmp_path):
    stub = tmp_path / "site" / "datasets"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("ORIGIN = 'installed'\n")
    code = f"""
        import sys
        sys.path.append({str(tmp_path / "site")!r})
        import datasets
        print(datasets.ORIGIN)
    """
    assert not (FOLDER.parent / "__init__.py").exists()
    assert run_python(code, cwd=FOLDER.parents[1]) == "installed"


def test_loading_the_package_does_not_import_tensorflow(tmp_path):
    code = f"""{LOAD}
next(shop.generate("small")).jpeg()
print("tensorflow" in sys.modules or "pandas" in sys.modules)
"""
    assert run_python(code, cwd=tmp_path) == "False"


def test_all_names_exist():
    assert len(set(catalogue.__all__)) == len(catalogue.__all__)
    assert all(hasattr(catalogue, name) for name in catalogue.__all__)


def test_tfds_builder(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    undecoded = {"image": tfds.decode.SkipDecoding()}
    module = importlib.import_module(f"{catalogue.__name__}.catalogue_dataset_builder")
    builder = module.Builder(config="small", data_dir=tmp_path)
    builder.download_and_prepare()
    assert builder.name == "catalogue"
    ids: list[str] = []
    for split, count in zip(("train", "validation", "test"), (1600, 200, 200), strict=True):
        examples = list(builder.as_dataset(split=split, decoders=undecoded).as_numpy_iterator())
        assert len(examples) == count
        ids += [example["id"].decode() for example in examples]
    assert len(set(ids)) == 2000
    check_example(examples[7], catalogue.make_row(0, "test", 7))


def check_example(example: dict, row) -> None:
    """Compare a TFDS example with the row that it was made from."""
    assert example["id"].decode() == row.id
    assert example["description"].decode() == row.description
    assert example["price"] == pytest.approx(row.price, rel=1e-6)
    assert example["truth"]["noise"] == pytest.approx(row.y_true.noise, rel=1e-6)
    assert np.isnan(example["weight_g"]) == (row.table.weight_g is None)
    assert example["image"] == row.jpeg()
