"""Rows to arrays: alike from every source, missing stays missing, unseen is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import infer_schema
from multimodal.data.defaults import complete
from multimodal.data.features import preprocess as module
from multimodal.data.features.fit import fit_spec
from multimodal.data.features.preprocess import Arrays, Preprocessor
from multimodal.data.read.readers import read_table

WORDS = "red blue big small new old oak pine table chair with without drawer lamp of wood".split()
KINDS: dict[str, Any] = {
    "size": "number",
    "reviews": "number",
    "code": "category",
    "sold": "date",
    "title": "text",
    "story": "text",
    "photo": "image",
}
RNG = np.random.default_rng(0)
ROWS: list[dict[str, Any]] = [
    {
        "size": round(float(RNG.normal(5, 2)), 3),
        "reviews": f"{RNG.integers(2, 50)} customer reviews",
        "code": int(RNG.integers(3)),
        "sold": f"2016-{RNG.integers(1, 13):02d}-{RNG.integers(1, 29):02d}",
        "title": " ".join(RNG.choice(WORDS, 5)),
        "story": " ".join(RNG.choice(WORDS, RNG.integers(1, 60))),
        "photo": f"{i}.jpg" if i % 4 else None,
    }
    for i in range(60)
]
ROWS[7] |= {"size": None, "code": None, "title": None, "sold": None, "reviews": None}
ROWS[8] |= {"code": 99, "story": "a word never seen"}


@pytest.fixture(scope="module")
def fitted() -> Preprocessor:
    table = read_table(ROWS)
    schema = infer_schema(table, overrides=KINDS)
    config = complete(Config(), schema, {})
    return Preprocessor(fit_spec(config, schema, table.frame), schema)


def assert_alike(first: Arrays, second: Arrays) -> None:
    assert first.inputs.keys() == second.inputs.keys()
    for key, array in first.inputs.items():
        np.testing.assert_array_equal(array, second.inputs[key], err_msg=key, strict=True)
    assert first.photos == second.photos
    assert rows_of(first.unseen) == rows_of(second.unseen)
    assert rows_of(first.unreadable) == rows_of(second.unreadable)


def rows_of(found: dict[str, Any]) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in found.items()}


def test_keys_dtypes_and_shapes(fitted: Preprocessor, tmp_path: Path) -> None:
    arrays = fitted.arrays(read_table(ROWS).frame, tmp_path)
    found = {key: (array.dtype.name, array.shape[1:]) for key, array in arrays.inputs.items()}
    longest = fitted.spec.group("story").lengths[-1]
    numeric = len(fitted.spec.group("table").numeric)
    assert found == {
        "table_numeric": ("float32", (numeric,)),
        "table_categorical": ("int32", (1,)),
        "table_present": ("bool", ()),
        "title_tokens": ("int32", (8,)),
        "title_present": ("bool", ()),
        "story_tokens": ("int32", (longest,)),
        "story_present": ("bool", ()),
    }
    assert set(found) | {"photos_pixels", "photos_present"} == set(fitted.spec.input_keys)
    assert arrays.rows == 60 == len(arrays.photos["photos"].paths)
    assert arrays.photos["photos"].paths[:2] == [[None], [str(tmp_path / "1.jpg")]]
    assert fitted.columns() == list(KINDS)


@pytest.mark.parametrize("block", [1, 7, 59, 60])
def test_blocks_of_rows_give_what_all_rows_give(
    fitted: Preprocessor, tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = read_table(ROWS).frame.assign(size=["many", *range(59)])
    whole = fitted.arrays(frame, tmp_path)
    assert rows_of(whole.unseen) == {"code": [8]} and rows_of(whole.unreadable) == {"size": [0]}
    monkeypatch.setattr(module, "BLOCK", block)
    assert_alike(fitted.arrays(frame, tmp_path), whole)
    assert fitted.photos(frame, tmp_path) == whole.photos


def test_missing_and_unseen(fitted: Preprocessor) -> None:
    arrays = fitted.arrays(read_table(ROWS).frame, Path())
    assert np.isnan(arrays.inputs["table_numeric"][7]).all()
    assert arrays.inputs["table_categorical"][[7, 8], 0].tolist() == [0, 1]
    assert arrays.inputs["table_present"].tolist() == [i != 7 for i in range(60)]
    assert arrays.inputs["title_present"].tolist() == [i != 7 for i in range(60)]
    assert not arrays.inputs["title_tokens"][7].any()
    assert set(arrays.inputs["story_tokens"][8].tolist()) == {0, 1}
    assert rows_of(arrays.unseen) == {"code": [8]}


def test_every_source_gives_the_same(fitted: Preprocessor, tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.astype({"code": "Int64"}).to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    wanted = fitted.arrays(read_table(ROWS).frame, tmp_path)
    for source in (*(tmp_path / f"rows.{end}" for end in ("csv", "jsonl", "parquet")), frame):
        assert_alike(fitted.arrays(read_table(source).frame, tmp_path), wanted)
    csv = pd.read_csv(tmp_path / "rows.csv", dtype=str, keep_default_na=False)
    for raw in (ROWS, csv.to_dict("records")):
        cells = {name: [row[name] for row in raw] for name in KINDS}
        assert_alike(fitted.arrays(cells, tmp_path), wanted)


@pytest.mark.parametrize("row", [0, 7, 8, 33])
def test_a_row_alone_equals_the_row_among_others(fitted: Preprocessor, row: int) -> None:
    many = fitted.arrays(read_table(ROWS).frame, Path())
    one = fitted.arrays({name: [cell] for name, cell in ROWS[row].items()}, Path())
    assert one.rows == 1
    for key, array in one.inputs.items():
        width = array.shape[1:] and array.shape[1]
        wanted = many.inputs[key][row : row + 1]
        np.testing.assert_array_equal(array, wanted[:, :width] if width else wanted)
        assert not width or not np.nan_to_num(wanted[:, width:]).any()
    assert one.photos["photos"].paths == many.photos["photos"].paths[row : row + 1]


def test_spec_survives_json(fitted: Preprocessor) -> None:
    spec = FittedSpec.model_validate_json(fitted.spec.model_dump_json())
    again = Preprocessor(spec, type(fitted.schema).from_json(fitted.schema.to_json()))
    frame = read_table(ROWS).frame
    assert_alike(again.arrays(frame, Path()), fitted.arrays(frame, Path()))


def test_no_rows(fitted: Preprocessor) -> None:
    arrays = fitted.arrays({name: [] for name in KINDS}, Path())
    assert arrays.rows == 0 and all(len(array) == 0 for array in arrays.inputs.values())


def test_columns_in_another_order_and_more_of_them(fitted: Preprocessor) -> None:
    frame = read_table(ROWS).frame
    other = frame[frame.columns[::-1]].assign(extra=1)
    assert_alike(fitted.arrays(other, Path()), fitted.arrays(frame, Path()))


def test_columns_missing(fitted: Preprocessor) -> None:
    frame = read_table(ROWS).frame.drop(columns=["size", "photo"]).assign(sise=1)
    with pytest.raises(DataError, match="columns missing: size, photo. The model.*Came: .*sise"):
        fitted.arrays(frame, Path())
    with pytest.raises(DataError, match=r"Came: \(none\)"):
        fitted.arrays({}, Path())


def test_photos_that_lead_out(fitted: Preprocessor) -> None:
    row = {name: [cell] for name, cell in (ROWS[1] | {"photo": "../1.jpg"}).items()}
    with pytest.raises(DataError, match="leads out of the photo folder"):
        fitted.arrays(row, Path())


def test_more_photos_than_slots_are_left_out(tmp_path: Path) -> None:
    table = read_table([{"p": "a.jpg|b.jpg"}, {"p": "c.jpg"}])
    schema = infer_schema(table, overrides={"p": "image"})
    spec = fit_spec(complete(Config(), schema, {}), schema, table.frame)
    arrays = Preprocessor(spec, schema).arrays({"p": ["a|b|c", None, "d"]}, tmp_path)
    a, b, d = (str(tmp_path / name) for name in "abd")
    assert arrays.photos["photos"].paths == [[a, b], [None, None], [d, None]]
    assert arrays.rows == 3
