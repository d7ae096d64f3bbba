"""Each rule of inference, and the columns that lie on its border."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Data, Kind
from multimodal.data.columns.dates import parse_dates
from multimodal.data.columns.inference import (
    Cells,
    InferredKind,
    declared_kind,
    fraction_read,
    infer_kind,
)
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.reading import Reading
from multimodal.data.read.formats import from_frame

N = 200
RNG = np.random.default_rng(0)
WOODS = ("oak", "ash", "elm")
SENTENCES = [f"a sturdy {WOODS[i % 3]} table, number {i} of good make" for i in range(N)]
DAYS = pd.date_range("2016-01-01", periods=N, freq="D")

GENRES = ["Drama", "Comedy|Drama", "Drama|Comedy|War", "War|Drama", "Comedy|War"] * 40
PLACES = [("Paris", "France"), ("Lyon", "France"), ("Rome", "Italy"), ("Pisa", "Italy")] * 9


def column(values: list[Any], name: str = "c", root: Path = Path("nowhere")) -> Cells:
    return Cells(name, from_frame(pd.DataFrame({name: values})).frame[name], root)


CASES: dict[str, tuple[list[Any], str, Kind, str]] = {
    "all missing": ([None, "", " "], "c", "ignored", "all missing"),
    "constant": (["x"] * 5, "c", "ignored", "constant"),
    "index": (
        [str(i * 7919 % 100_003) for i in range(N)],
        "Unnamed: 0",
        "identifier",
        "pandas wrote",
    ),
    "flag": (["x", None, "x"], "c", "category", "one value, or missing"),
    "addresses": ([f"https://h/{i}.jpg" for i in range(N)], "c", "ignored", "not opened"),
    "address lists": ([f'["http://h/{i}.jpg"]' for i in range(N)], "c", "ignored", "not opened"),
    "photos": ([f"p/{i}.JPG" for i in range(N)], "c", "image", "one photo a row"),
    "photos, some not": (["a.jpg", "b.png", "c.webp", "d.gif", "?"], "c", "image", "one photo"),
    "photo lists": ([[f"{i}.jpg", "b.jpg"] for i in range(N)], "c", "image", "up to 2 photos"),
    "joined photos": (["a.jpg|b.jpg", "c.jpg"], "c", "image", "up to 2 photos a row"),
    "other lists": ([[1, 2], [3]], "c", "ignored", "lists are not read"),
    "documents": ([f"{i}.pdf" for i in range(N)], "c", "identifier", "excluded"),
    "dates": ([f"{d:%Y-%m-%d}" for d in DAYS], "c", "date", "month, day, weekday, days"),
    "months": ([f"20{10 + i // 12}-{i % 12 + 1:02}" for i in range(48)], "c", "date", "year"),
    "datetimes": (list(DAYS), "c", "date", "its parts become columns"),
    "guessed dates": (["03/04/2016", "05/04/2016"] * 9, "c", "category", ""),
    "years": (["2016", "2017", "2018"] * 9, "c", "number", ""),
    "floats": ([f"{x:.6f}" for x in RNG.random(N)], "c", "number", ""),
    "unique whole": ((RNG.permutation(9000)[:N] * 7).tolist(), "c", "number", ""),
    "with words": (["1", "2.5", "3", "NA", "-"] * 9, "c", "number", ""),
    "nearly all": (["1", "2.5", "3", "4"] * 24 + ["x"], "c", "number", "1 cells are no numbers"),
    "too few": (["1", "2.5", "3", "4"] * 4 + ["x"], "c", "category", "apart from 'x'"),
    "question marks": (["1", "2.5", "3", "?"] * 4, "c", "number", ""),
    "few counts": ([1, 2, 3] * 9, "rooms", "number", ""),
    "small table": ([1, 2, 3, 4], "rooms", "number", ""),
    "phrase": ([f"{i} reviews" for i in range(3, 9)], "c", "number", "number in '# reviews'"),
    "two numbers": ([0, 1] * 9, "c", "category", "two values"),
    "bools": ([True, False] * 9, "c", "category", "yes or no"),
    "bools, missing": ([True, False, None] * 9, "c", "category", "two values"),
    "zip": (["00501", "10001", "99501"] * 9, "c", "category", "leading zeros"),
    "padded ids": ([f"{i:05}" for i in range(N)], "c", "identifier", "leading zeros, one per row"),
    "zip by name": ([85255, 36372, 91901] * 9, "zipcode", "category", "codes, by the name"),
    "unique codes": ((RNG.permutation(9000)[:N] * 7).tolist(), "item_id", "identifier", "by the"),
    "row count": (list(range(1, N + 1)), "c", "identifier", "counts the rows"),
    "shuffled": (RNG.permutation(N).tolist(), "c", "identifier", "counts the rows"),
    "with gaps": ([i for i in range(N) if i % 20], "c", "identifier", "counts the rows"),
    "small id": ([1, 2, 3, 4], "id", "identifier", "counts the rows"),
    "row phrase": ([f"item {i}" for i in range(N)], "c", "identifier", "counts the rows"),
    "hashes": ([f"a{i:06x}f" for i in range(N)], "c", "identifier", "another value in each row"),
    "small hashes": (["k7", "q9", "z1"], "sku", "identifier", "another value in each row"),
    "small words": (["red", "blue", "green"], "c", "category", ""),
    "texts": (SENTENCES, "c", "text", "9 words on average"),
    "repeated texts": (SENTENCES[:150] + SENTENCES[:50], "c", "text", ""),
    "small texts": (SENTENCES[:8], "c", "text", ""),
    "long labels": (SENTENCES[:5] * 40, "c", "category", ""),
    "unspaced": ([f"赤いオーク材の机{'甲乙丙'[i % 3]}{i}番" for i in range(N)], "c", "text", ""),
    "sets": (["Comedy, Drama", "Drama", "Comedy; not", "Drama, Comedy"] * 9, "c", "category", ""),
    "set column": (GENRES, "c", "category", "sets, of which the members become flags: "),
    "set lists": ([g.split("|") for g in GENRES], "c", "category", "sets, of which the members"),
    "places": ([f"{c}, {s}" for c, s in PLACES], "c", "category", ""),
    "sentence lists": ([[f"{t}.", "It is new."] for t in SENTENCES], "c", "text", ""),
    "mappings": ([{"a": i} for i in range(N)], "c", "ignored", "records are not read"),
    "objects": ([{i, 1} for i in range(N)], "c", "ignored", "holds set objects"),
    "html": ([f"<p>{t}</p>" for t in SENTENCES], "c", "text", "HTML, read as its text"),
    "day first": ([f"{d:%d/%m/%Y}" for d in DAYS], "c", "date", "day first; its parts"),
    "month first": ([f"{d:%m/%d/%y}" for d in DAYS], "c", "date", "month first; its parts"),
    "figures": ([f"{d:%Y%m%d}" for d in DAYS], "c", "date", "month, day"),
    "figures as numbers": ([int(f"{d:%Y%m%d}") for d in DAYS], "c", "date", "month, day"),
    "serials": (list(range(42_000, 42_000 + N, 2)), "sale_date", "date", "as spreadsheets do"),
    "no serials": (list(range(42_000, 42_000 + 3 * N, 3)), "price", "number", ""),
    "periods": (list(pd.period_range("2016-01", periods=N, freq="M")), "c", "date", "month"),
    "dots": (["03.04.2016", "05.06.2017"] * 9, "c", "date", "day first"),
    "telephones": ([f"555 {i} {i + 500}" for i in range(200, 400)], "c", "text", ""),
    "brands": ([f"b{int(x)}x" for x in RNG.random(3000) * 2500], "c", "category", "values;"),
    "names": ([f"Ann{i} Lee{i * 7 % 31}" for i in range(N)], "c", "text", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_judge(case: str) -> None:
    values, name, kind, note = CASES[case]
    verdict = infer_kind(column(values, name))
    assert verdict.kind == kind, verdict
    assert note in verdict.note


def test_the_note_says_where_photos_are(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    absent = infer_kind(column(["a.jpg", "b.jpg"], root=tmp_path)).note
    assert "none of the first 2 is in the photo folder; they are in 'images'" in absent
    assert (
        infer_kind(column(["a.jpg", "b.jpg"], root=tmp_path / "images")).note == "one photo a row"
    )
    assert infer_kind(column(["x" * 5000 + ".jpg", "b.jpg"], root=tmp_path)).kind == "image"


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        (["03/04/2016", "05/06/2016"] * 9, "'03/04/2016' may be day 3 of month 4 or day 4"),
        (["03.04.2016", "05.06.2016"] * 9, "read with the day first"),
        (["1.250", "987", "12.400"] * 9, "'1.250' may be 1250 or 1.25"),
        (["1.5", "1.250"] * 9, ""),
        (["03/14/2016", "05/06/2016"] * 9, ""),
        (["3/4", "5/6"] * 9, ""),
    ],
)
def test_what_the_cells_leave_open_is_in_doubt(values: list[str], doubt: str) -> None:
    found = infer_kind(column(values)).doubt
    assert doubt in found and bool(doubt) == bool(found)


def test_what_is_told_decides() -> None:
    cells = from_frame(pd.DataFrame({"c": ["03/04/2016", "05/06/2016"] * 9})).frame["c"]
    for first, month in ((True, 4), (False, 3)):
        found = infer_kind(Cells("c", cells, Path(), Data(day_first=first)))
        assert (found.kind, found.doubt) == ("date", "")
        assert parse_dates(cells, found.reading).values[0].astype(object).month == month


def test_sets_become_flags() -> None:
    found = infer_kind(column(GENRES))
    assert found.parts == ("has Drama", "has Comedy", "has War")
    assert found.reading.separator == "|"


def test_a_phrase_is_kept_for_reading() -> None:
    assert infer_kind(column([f"{i} reviews" for i in range(3, 9)])).reading.unit == "# reviews"


def test_date_parts_that_vary() -> None:
    assert infer_kind(column(list(DAYS[:20]))).parts == ("day", "weekday", "days")
    hours = pd.date_range("2016-01-01", periods=9, freq="h")
    assert infer_kind(column(list(hours))).parts == ("hour",)


WIDE = Reading(wide=True)


def _in(kind: Kind, unit: str) -> InferredKind:
    return InferredKind(kind, f"as told; number in {unit!r}", Reading(wide=True, unit=unit))


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([None, ""], "number", InferredKind("number", "as told; all missing")),
        (["x", "y"], "category", InferredKind("category", "as told")),
        (["1", "2"], "number", InferredKind("number", "as told", WIDE)),
        (
            ["5", "6", "none yet"],
            "number",
            InferredKind("number", "as told; 1 cells are no numbers and count as missing", WIDE),
        ),
        (["5 cm", "6 cm"], "number", _in("number", "# cm")),
        (["$5", "$6"], "target", _in("target", "$#")),
        (["neg", "pos"], "target", InferredKind("target", "as told", WIDE)),
        (
            ["2016", "2018", "soon"],
            "date",
            InferredKind(
                "date",
                "as told; its parts become columns: year, days; "
                "1 cells are no dates and count as missing",
                WIDE,
                parts=("year", "days"),
            ),
        ),
    ],
)
def test_as_told(values: list[Any], kind: Kind, expected: InferredKind) -> None:
    assert declared_kind(column(values), kind) == expected


def cells(values: list[Any], name: str = "c") -> Cells:
    return Cells(name, pd.Series(values, dtype=object), Path())


def test_missing_cells_do_not_count() -> None:
    column = cells(["a b", None, "", "a b", "c"])
    assert column.missing.tolist() == [False, True, True, False, False]
    assert column.texts.tolist() == ["a b", "a b", "c"]
    assert column.distinct == 2
    assert column.words == pytest.approx(5 / 3)
    assert column.length == pytest.approx(7 / 3)


def test_scripts_without_blanks_have_words() -> None:
    assert cells(["赤いオーク材のテーブルです"]).words > 4
    assert cells(["red"]).words == 1


def test_the_sample_is_bounded_and_spread() -> None:
    column = cells([str(i) for i in range(10_000)])
    assert len(column.sample) == 2000
    assert column.sample.iloc[-1] == "9995"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", True),
        ("product_id", True),
        ("productId", True),
        ("ZIP", True),
        ("zipcode", True),
        ("post code", True),
        ("Barcode", True),
        ("sku", True),
        ("width", False),
        ("area", False),
        ("idea", False),
        ("video", False),
        ("spin", False),
        ("bedrooms", False),
        ("", False),
    ],
)
def test_names_of_codes(name: str, expected: bool) -> None:
    assert cells(["1"], name).named_like_code == expected


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["5 cm", "6 cm", "NA", None], "# cm"),
        (["5", "6"], None),
        ([5, 6], None),
        (["a long text with the number 5 in it, the same in each of them"] * 3, None),
    ],
)
def test_unit(values: list[Any], unit: str | None) -> None:
    assert cells(values).numbers.reading.unit == unit


@pytest.mark.parametrize(
    ("values", "share"), [(["1", "x", None, "NA"], 0.5), (["1"], 1.0), ([None], 0.0)]
)
def test_share_read_leaves_missing_out(values: list[Any], share: float) -> None:
    assert fraction_read(parse_numbers(pd.Series(values, dtype=object))) == share
