"""Rows like a row: found by their vectors, kept without pickle, refused if they are not whole."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.core.manifest import write_manifest
from multimodal.explain import neighbours
from multimodal.explain.neighbours import (
    MOST_ROWS,
    ROWS_FILE,
    VECTORS_FILE,
    NearRow,
    Neighbours,
    load,
    save,
)

RANDOM = np.random.default_rng(0)


def rows_of(count: int) -> list[NearRow]:
    return [NearRow(line=i + 2, labels={"price": str(i)}, photos=["a.jpg"]) for i in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, RANDOM.normal(size=(9, 4)), rows_of(9))
    write_manifest(tmp_path)
    return tmp_path


def test_a_row_finds_itself_first(folder: Path) -> None:
    known = load(folder)
    assert known is not None and known.vectors.shape == (9, 4)
    found = known.nearest(known.vectors[3], 3)
    assert (found[0].line, found[0].distance) == (5, 0.0)
    assert found[0].labels == {"price": "3"} and found[0].photos == ["a.jpg"]
    assert [each.distance for each in found] == sorted(each.distance for each in found)


def test_features_count_by_their_spread_and_silent_ones_not_at_all() -> None:
    vectors = np.array([[0.0, 100.0, 7.0], [1.0, 0.0, 7.0], [2.0, 100.0, 7.0], [3.0, 200.0, 7.0]])
    found = Neighbours(vectors, rows_of(4)).nearest(np.array([0.0, 120.0, -50.0]), 1)
    assert found[0].line == 2 and found[0].distance < 0.5


def test_what_is_added_to_raw_outputs_counts_as_it_is() -> None:
    """A part that hardly moves the outputs does not decide which rows are near."""
    vectors = np.array([[0.0, 0.001], [1.0, 0.0], [0.2, -0.001], [5.0, 0.0]])
    row = np.array([0.0, -0.001])
    by_head = Neighbours(vectors, rows_of(4), "price").nearest(row, 2)
    assert [each.line for each in by_head] == [2, 4]
    assert Neighbours(vectors, rows_of(4)).nearest(row, 1)[0].line == 4


def test_the_head_of_the_vectors_is_kept(tmp_path: Path) -> None:
    save(tmp_path, np.eye(2), rows_of(2), "price")
    write_manifest(tmp_path)
    known = load(tmp_path)
    assert known is not None and known.head == "price"


def test_files_of_before_hold_vectors_of_networks(folder: Path) -> None:
    rows = json.loads((folder / ROWS_FILE).read_text())
    del rows["head"]
    (folder / ROWS_FILE).write_text(json.dumps(rows))
    write_manifest(folder)
    known = load(folder)
    assert known is not None and known.head == "" and len(known.rows) == 9


def test_a_run_without_them_has_none(tmp_path: Path) -> None:
    assert load(tmp_path) is None


def test_files_stay_small(tmp_path: Path) -> None:
    count = MOST_ROWS + 50
    save(tmp_path, np.full((count, 2), 1e9), rows_of(count))
    write_manifest(tmp_path)
    known = load(tmp_path)
    assert known is not None and len(known.rows) == MOST_ROWS
    assert np.isfinite(known.vectors).all()
    wide = np.zeros((40, neighbours.MOST_BYTES // 64), np.float16)
    save(tmp_path, wide, rows_of(40))
    assert (tmp_path / VECTORS_FILE).stat().st_size <= neighbours.MOST_BYTES


def test_a_vector_of_another_size_is_refused(folder: Path) -> None:
    known = load(folder)
    assert known is not None
    with pytest.raises(RunError, match="vectors of 4 numbers; those of the model have 3"):
        known.nearest(np.zeros(3))


def pickled(path: Path) -> None:
    np.savez(path, vectors=np.array([{"a": 1}], dtype=object))


def wide(path: Path) -> None:
    np.savez(path, vectors=np.zeros((9, 4)))


def infinite(path: Path) -> None:
    np.savez(path, vectors=np.full((9, 4), np.inf, np.float16))


def flat(path: Path) -> None:
    np.savez(path, vectors=np.zeros(9, np.float16))


def more(path: Path) -> None:
    np.savez(path, vectors=np.zeros((9, 4), np.float16), other=np.zeros(2))


def boastful(path: Path) -> None:
    """Declare a trillion numbers."""
    content = b"\x93NUMPY\x01\x00"
    header = b"{'descr': '<f2', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vectors.npy", content + len(header).to_bytes(2, "little") + header)


def fewer(path: Path) -> None:
    np.savez(path, vectors=np.zeros((3, 4), np.float16))


def text(path: Path) -> None:
    path.write_text("no archive")


@pytest.mark.parametrize("harm", [pickled, wide, infinite, flat, more, boastful, fewer, text])
def test_damaged_vectors_are_named(folder: Path, harm: Callable[[Path], None]) -> None:
    harm(folder / VECTORS_FILE)
    with pytest.raises(RunError, match=VECTORS_FILE):
        load(folder)  # the manifest tells
    write_manifest(folder)
    with pytest.raises(RunError, match=VECTORS_FILE):
        load(folder)


@pytest.mark.parametrize(
    "harm", ["", "{", '{"rows": [{"line": -1, "labels": {}}]}', '{"rows": []}']
)
def test_damaged_rows_are_named(folder: Path, harm: str) -> None:
    (folder / ROWS_FILE).write_text(harm)
    write_manifest(folder)
    with pytest.raises(RunError, match=ROWS_FILE):
        load(folder)


def test_a_missing_file_of_the_two_is_named(folder: Path) -> None:
    (folder / ROWS_FILE).unlink()
    with pytest.raises(RunError, match=ROWS_FILE):
        load(folder)
