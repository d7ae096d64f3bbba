"""Properties that hold for any table: nothing crashes, no row is lost, no duplicate leaks.

The default run draws a few dozen tables for each property, always the same ones; the run marked
`large` draws many more, and others each time.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, MultimodalError
from multimodal.core.spec import SPARSE_KEYS, FittedSpec
from multimodal.data.columns.schema import Schema, infer_schema
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.prepare import Prepared, prepare
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table

DRAWN = [Phase.explicit, Phase.generate]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
CONFIG = Config.parse({"data": {"max_quarantine": 1.0}})
NUMBERS = (
    "0",
    "-1.5",
    "3",
    "12,50",
    "$1,234.50",
    "1e400",
    "inf",
    "NaN",
    "007",
    "9" * 400,
    "٣",
    "½",
)
WORDS = (
    "",
    " ",
    "NA",
    "None",
    "null",
    "red",
    "Red ",
    "red\u200b",
    "naïve",
    "日本語",
    "👩‍👩‍👧",
    "\x00",
    "\ufeff",
    'say "hi"',
    "a,b",
    "a\nb",
    "a\r\nb",
    "\t",
    "a|b",
    "-",
    "true",
    "2016-03-10",
    "2016-02-30",
    "10/3/16",
    "0001-01-01",
    "99999-01-01",
    "a.jpg",
    "../a.jpg",
    "http://x.org/a.jpg",
    "a sturdy oak table",
    "x" * 5000,
    "=1+1",
    "[1, 2]",
    "{}",
    "\u202e",
    "e\u0301",
    "é",
)
OTHERS = (
    None,
    float("nan"),
    float("inf"),
    -0.0,
    1e308,
    5,
    True,
    2**70,
    b"\xff",
    (1, 2),
    [1, None],
    {"a": 1},
    pd.NaT,
    pd.Timestamp("2016-03-10"),
    np.float32(2),
    np.int8(3),
    1j,
    Path("a"),
)


def few(count: int) -> Callable[[Any], Any]:
    """Draw `count` examples, always the same, and do not search for smaller ones that fail."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=DRAWN,
        suppress_health_check=SLOW,
    )


def many(count: int) -> Callable[[Any], Any]:
    """Draw `count` examples, others each time."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=SLOW,
        print_blob=True,
    )


def text(**options: Any) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), **options)


def cells() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(NUMBERS),
        st.sampled_from(WORDS),
        text(max_size=12),
        st.integers().map(str),
        st.floats().map(str),
    )


@st.composite
def columns(draw: st.DrawFn, values: st.SearchStrategy[Any], rows: int) -> list[Any]:
    """Draw one column: odd values, or numbers, words or texts with some odd ones among them."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    pool = draw(st.lists(values, min_size=1, max_size=6))
    odd = [pool[i] for i in rng.integers(0, len(pool), rows)]
    kind = draw(st.sampled_from(["odd", "numbers", "words", "texts"]))
    usual: list[Any] = {
        "odd": odd,
        "numbers": [f"{x:.3f}" for x in rng.normal(size=rows)],
        "words": list(rng.choice(["red", "blue", "green"], rows)),
        "texts": [" ".join(rng.choice(list("abcdefgh"), 9)) for _ in range(rows)],
    }[kind]
    share = draw(st.sampled_from([0.0, 0.05, 0.5]))
    return [odd[i] if rng.random() < share else usual[i] for i in range(rows)]


@st.composite
def tables(
    draw: st.DrawFn, values: st.SearchStrategy[Any], least: int = 0, most: int = 60
) -> dict[str, list[Any]]:
    """Draw columns of one length under odd names; some rows are there twice."""
    rows = draw(st.integers(least, most))
    names = draw(st.lists(text(min_size=1, max_size=8), min_size=1, max_size=4, unique_by=clean))
    found = {name: draw(columns(values, rows)) for name in names}
    twice = draw(st.lists(st.integers(0, max(rows - 1, 0)), max_size=6)) if rows else []
    return {name: [*column, *(column[i] for i in twice)] for name, column in found.items()}


def clean(name: str) -> str:
    return name.strip()


def written(table: dict[str, list[Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return out.getvalue()


def no_row_lost(table: Table) -> None:
    """Every row that was read is kept or set aside, once, and in order."""
    aside = [fault.row for fault in table.rejected]
    assert sorted([*table.rows.tolist(), *aside]) == list(range(table.rows_read))
    assert len(table.frame) == len(table.rows) == len(table.lines)
    assert (np.diff(table.rows) > 0).all() and aside == sorted(aside)
    assert all(fault.reason for fault in table.rejected)


def read(content: bytes, suffix: str = ".csv", **options: Any) -> Table | None:
    """Read a file of these bytes; None where it ends in an error that the user can mend."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table{suffix}")
        path.write_bytes(content)
        try:
            table = read_table(path, **options)
        except MultimodalError as error:
            assert 20 < len(str(error)) < 2000
            return None
    no_row_lost(table)
    return table


def check_values_come_back(table: dict[str, list[str]]) -> None:
    found = read(written(table).encode())
    if found is None:
        return
    assert [str(name) for name in found.frame] == [clean(name) for name in table]
    for name, column in table.items():
        cells = found.frame[clean(name)].tolist()
        kept = [column[row] for row in found.rows]
        assert [cell or "" for cell in cells] == kept


def check_spoiled_lines(table: dict[str, list[str]], spoils: list[tuple[int, str]]) -> None:
    """Rows with a value too many or too few, or a NUL, are set aside; others stay as they were."""
    lines = written(table).splitlines(keepends=True)
    if len(lines) != len(next(iter(table.values()))) + 1:  # a cell holds a line end
        return
    wrong = {row for row, line in enumerate(lines) if row and "\0" in line}
    for at, how in spoils:
        row = at % (len(lines) - 1) + 1
        if row not in wrong and lines[row].strip():
            wrong.add(row)
            lines[row] = f"1,{lines[row]}" if how == "surplus" else "1,2,3,4,5,6,7\r\n"
    found = read("".join(lines).encode())
    if found is not None:
        assert {fault.line for fault in found.rejected} == {row + 1 for row in wrong}


def check_any_bytes(content: bytes, encoding: str, suffix: str) -> None:
    read(content, suffix, encoding=encoding, allow_empty=True)


def check_schema(table: dict[str, list[Any]]) -> None:
    try:
        found = read_table(pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in table.items()}))
        no_row_lost(found)
        schema = infer_schema(found, targets=[str(name) for name in list(found.frame)[:1]])
    except MultimodalError:
        return
    assert [column.name for column in schema.columns] == [str(name) for name in found.frame]
    assert Schema.from_json(schema.to_json()) == schema
    assert all(0 <= column.missing <= 1 for column in schema.columns)


def check_records(rows: list[dict[str, Any]]) -> None:
    try:
        table = read_table(rows)
    except MultimodalError:
        return
    no_row_lost(table)
    assert table.rows_read == len(rows)


def check_json_lines(rows: list[Any], spoil: bytes) -> None:
    lines = [json.dumps(row).encode() for row in rows]
    if spoil.strip() and lines:
        lines[len(lines) // 2] = spoil
    read(b"\n".join(lines), ".jsonl")


def prepared(table: dict[str, list[Any]]) -> Prepared | None:
    frame = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in table.items()})
    with tempfile.TemporaryDirectory() as folder:
        try:
            return prepare(frame, [str(frame.columns[0])], CONFIG, images=folder)
        except MultimodalError as error:
            assert len(str(error)) < 5000
            return None


def check_preparing(table: dict[str, list[Any]], numbers: bool, distinct: bool) -> None:
    """Prepare a table with a target and five rows that are there twice.

    They are copies only where rows are `distinct` otherwise: where most rows repeat another, equal
    rows are a coincidence.
    """
    rows = len(next(iter(table.values())))
    rng = np.random.default_rng(rows)
    values = [f"{x:.4f}" for x in rng.normal(size=rows)]
    label = values[::-1] if numbers else list(rng.choice(list("ab"), rows))
    frame = {"the target": label, **table, **({"a distinct one": values} if distinct else {})}
    found = prepared({name: [*column, *column[:5]] for name, column in frame.items()})
    if found is None:
        return
    told = found.summary()
    assert told["read"] == told["kept"] + told["quarantined"] == rows + 5
    assert told["kept"] == told["train"] + told["validation"] + told["test"]
    no_row_lost(found.table)
    splits = dict(zip(found.table.rows.tolist(), found.splits, strict=True))
    for first in range(5 if distinct else 0):
        assert splits.get(first) == splits.get(rows + first), "a duplicate in another split"
    check_fitted(found)


def check_fitted(found: Prepared) -> None:
    spec, schema, config = found.spec, found.schema, found.config
    assert FittedSpec.model_validate_json(spec.model_dump_json()) == spec
    assert Schema.from_json(schema.to_json()) == schema
    assert Config.from_json(config.to_json()) == config
    again = Preprocessor(spec, schema).arrays(found.table.frame, found.photo_root)
    for name, array in again.inputs.items():
        assert len(array) == len(found.table.frame)
        assert not np.isinf(array.astype(np.float64)).any(), name
        if name not in SPARSE_KEYS:  # which only the whole model reads
            np.testing.assert_array_equal(array, found.source.inputs[name])
    check_other_rows(found)


def check_other_rows(found: Prepared) -> None:
    """Cells of other columns, as tomorrow's rows may hold them, are read or refused."""
    frame = found.table.frame
    other = frame.set_axis(list(frame.columns[1:]) + list(frame.columns[:1]), axis=1)
    try:
        arrays = Preprocessor(found.spec, found.schema).arrays(other, found.photo_root)
    except MultimodalError:
        return
    for name, array in arrays.inputs.items():
        same = name in SPARSE_KEYS or array.shape[1:] == found.source.inputs[name].shape[1:]
        assert same or "tokens" in name
        assert not np.isinf(array.astype(np.float64)).any(), name


def check_config(values: Any) -> None:
    try:
        config = Config.parse(values)
    except ConfigError as error:
        assert len(str(error)) < 3000
        return
    assert Config.from_json(config.to_json()) == config


def configs() -> st.SearchStrategy[Any]:
    """Draw plain values under the keys that a config knows."""
    keys = st.sampled_from(
        [
            "groups",
            "fusion",
            "heads",
            "data",
            "training",
            "name",
            "options",
            "column",
            "columns",
            "modality",
            "encoder",
            "head",
            "split",
            "method",
            "epochs",
            "seed",
            "weight",
            "classes",
            "x",
        ]
    )
    words = st.sampled_from(["dense", "tabular", "text", "learned", "time", "a", ""])
    plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), words)
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | text(), inner),
        max_leaves=25,
    )


ANY = st.one_of(cells(), st.sampled_from(OTHERS))
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), cells()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "cp1252", "latin-1", "ascii"])
SPOILS = st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["surplus", "short"])), max_size=4)


@st.composite
def spoiled_files(draw: st.DrawFn) -> bytes:
    """Draw a CSV file in some encoding with some of its bytes changed."""
    content = written(draw(tables(cells(), most=8))).encode(draw(ENCODINGS), "replace")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(content)))
        piece = draw(
            st.sampled_from([b'"', b"\n", b"\x00", b",", b"\xff\xfe", b"\xef\xbb\xbf", b"\r"])
        )
        content = content[:at] + piece + content[at + draw(st.integers(0, 2)) :]
    return content


LINES = st.lists(st.dictionaries(text(max_size=5), PLAIN, max_size=3) | PLAIN, max_size=6)
ROWS = st.lists(st.dictionaries(text(max_size=5), ANY, max_size=4), max_size=12)
PROPERTIES: dict[str, tuple[Callable[..., Any], tuple[st.SearchStrategy[Any], ...], int]] = {
    "values_come_back": (check_values_come_back, (tables(cells(), most=12),), 80),
    "spoiled_lines": (check_spoiled_lines, (tables(cells(), 1, 12), SPOILS), 150),
    "any_bytes": (
        check_any_bytes,
        (
            spoiled_files(),
            ENCODINGS,
            st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".parquet"]),
        ),
        200,
    ),
    "records": (check_records, (ROWS,), 80),
    "json_lines": (check_json_lines, (LINES, st.binary(max_size=9)), 100),
    "schema": (check_schema, (tables(ANY),), 150),
    "preparing": (check_preparing, (tables(ANY, 30, 60), st.booleans(), st.booleans()), 100),
    "config": (check_config, (configs(),), 200),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_holds_for_any_table(name: str) -> None:
    check, drawn, count = PROPERTIES[name]
    few(count)(given(*drawn)(check))()


@pytest.mark.large
@pytest.mark.parametrize("name", PROPERTIES)
def test_holds_for_many_more(name: str) -> None:
    check, drawn, count = PROPERTIES[name]
    many(20 * count)(given(*drawn)(check))()
